//! A layer for `tracing-subscriber` that stores a program's own logs in ForgeOne DB.
//!
//! Each event becomes a log entry: its text the line, its level the severity, its fields metadata.
//! The program's threads only format an event and put it into a bounded buffer; one thread of the
//! layer's own stores what is there, many at a time. When the store is slower than the program, or
//! takes nothing at all, events are dropped and counted, and a record that says how many is stored
//! as soon as there is room. The program never waits for the store.
//!
//! Absent on purpose: filters (those of `tracing-subscriber` go around the layer), printing, and
//! reading logs back, which is the store's.
//!
//! # Example
//! ```
//! use forgeone_db::{Key, LogQuery, OpenMode, RedbManager, Severity, StoreOptions};
//! use forgeone_db_tracing::StoreLayer;
//! use std::time::Duration;
//! use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
//! use tracing_subscriber::filter::LevelFilter;
//!
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("store");
//! let options = StoreOptions::new(path).key(Key::raw([7; 32])).mode(OpenMode::OpenOrCreate);
//! let store = RedbManager::open(options)?;
//! let (layer, guard) = StoreLayer::builder(store.logs().clone()).topic("shop.logs").build()?;
//! let subscriber = tracing_subscriber::registry().with(layer.with_filter(LevelFilter::INFO));
//! // A program calls `tracing::subscriber::set_global_default` instead, once.
//! tracing::subscriber::with_default(subscriber, || {
//!     let _request = tracing::info_span!("request", id = 7).entered();
//!     tracing::warn!(took_ms = 950, "slow answer");
//! });
//! let stats = guard.close(Duration::from_secs(5));
//! assert_eq!((stats.stored, stats.dropped.total()), (1, 0));
//!
//! let query = LogQuery::default().severity_min(Severity::Warn).metadata("request.id", "7");
//! let found = store.query_logs(query)?.next().expect("it was stored")?;
//! assert_eq!(found.entry.message, "slow answer");
//! assert_eq!(found.entry.metadata["took_ms"], "950");
//! assert_eq!(found.entry.metadata["span"], "request");
//! store.close()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What an entry has
//! | metadata | what |
//! | --- | --- |
//! | `target` | the event's target |
//! | `file` | where it was logged, `src/main.rs:12` |
//! | `thread` | the thread's name, if it has one |
//! | `span` | the names of the spans around it, outermost first: `a:b:c` |
//! | a field's name | the field's text; `field.NAME` if NAME is one of these here |
//! | `SPAN.FIELD` | a span's fields, as they were when the event was logged |
//! | `truncated` | what was cut: `message`, `fields`, `spans`, `facts` (target, file ...) |
//! | `panicked` | `true` when the `Display` or `Debug` of a field panicked |
//!
//! Where names are the same, the event's field comes before a span's, and an inner span's before an
//! outer one's. The timestamp is the system clock's when the event entered the buffer.
//!
//! # What is promised
//! - Logging waits for no write. It may wait for a lock that is held while records are moved in
//!   memory, at most 1,000 at a time.
//! - Entries of one thread that go to one topic have its order.
//! - Memory is bounded: the buffer, one round that is being written (1,000 records or 1 MiB), one
//!   record for each thread that logs (320 KiB), and the fields of open spans (at most 320 KiB each).
//! - [`StoreLayerGuard::stats`] accounts for every event, and what is dropped is said in the log.
//! - What is in the buffer is lost when the process is killed: an event is durable once it is stored,
//!   a fraction of a second after it was logged, or when [`StoreLayerGuard::flush`] has returned.
//! - Nothing goes round in circles: events on a store's own threads are left out, and so is what a
//!   field's `Display` logs while it is formatted. A panic of such a `Display` ends there.
//!
//! # Limits
//! A message has at most 256 KiB, the metadata 64 KiB together; 64 spans around an event are looked
//! at. What is longer is cut, and `truncated` says so.
#![forbid(unsafe_code)]

mod buffer;
mod builder;
mod fields;
mod guard;
mod layer;
mod limits;
mod record;
mod stats;
mod writer;

pub use builder::StoreLayerBuilder;
pub use guard::StoreLayerGuard;
pub use layer::StoreLayer;
pub use stats::{Dropped, LayerStats};

/// The guide's page for programs, as tests: here because it shows the layer, too.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/7-in-a-program.md")]
mod guide {}
