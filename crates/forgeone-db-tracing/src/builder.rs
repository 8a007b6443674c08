//! What a layer is started with.

use crate::buffer::Buffer;
use crate::guard::StoreLayerGuard;
use crate::layer::StoreLayer;
use crate::limits::{BUFFER_BYTES, BUFFER_BYTES_MIN, BUFFER_RECORDS};
use crate::record::Topics;
use crate::writer::Writer;
use forgeone_db::environment::{Environment, SystemEnvironment};
use forgeone_db::model::check_topic;
use forgeone_db::{LogManager, Result};
use std::sync::Arc;

/// Starts a [`StoreLayer`].
#[derive(Debug)]
pub struct StoreLayerBuilder {
    logs: LogManager,
    topic: String,
    by_target: bool,
    buffer_records: usize,
    buffer_bytes: usize,
    environment: Arc<dyn Environment>,
}

impl StoreLayerBuilder {
    pub(crate) fn new(logs: LogManager) -> Self {
        Self {
            logs,
            topic: "app.logs".to_owned(),
            by_target: false,
            buffer_records: BUFFER_RECORDS,
            buffer_bytes: BUFFER_BYTES,
            environment: Arc::new(SystemEnvironment::new()),
        }
    }

    /// The topic of the entries. Default: `app.logs`.
    #[must_use]
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.topic = topic.into();
        self
    }

    /// Whether each target has a topic of its own: the topic, a dot, and the target with `.` for
    /// `::`, cut to the limit of a topic's name. Then `app.logs` and the target `shop::orders` are
    /// `app.logs.shop.orders`. Each topic is written for itself, so the more there are at a time,
    /// the more writes. Default: no.
    #[must_use]
    pub fn topic_by_target(mut self, by_target: bool) -> Self {
        self.by_target = by_target;
        self
    }

    /// How much waits to be stored at most: so many records (at least 1 is used) and so many
    /// bytes (at least 1 MiB is used, so that every record fits). What is more is dropped, the
    /// newest first. Beside the buffer there is one round of at most 1,000 records that is being
    /// written. Default: 16,384 records and 8 MiB.
    #[must_use]
    pub fn buffer(mut self, records: usize, bytes: usize) -> Self {
        self.buffer_records = records.max(1);
        self.buffer_bytes = bytes.max(BUFFER_BYTES_MIN);
        self
    }

    /// Where time and the thread come from. Default: the real world.
    #[must_use]
    pub fn environment(mut self, environment: Arc<dyn Environment>) -> Self {
        self.environment = environment;
        self
    }

    /// Starts the thread that stores, and gives the layer and its guard. Keep the guard as long as
    /// the program logs: dropping it closes the layer.
    ///
    /// # Errors
    /// `Invalid` for a topic that is no topic's name; `Unavailable` when no thread can be started.
    pub fn build(self) -> Result<(StoreLayer, StoreLayerGuard)> {
        check_topic(&self.topic)?;
        let topics =
            if self.by_target { Topics::ByTarget(self.topic) } else { Topics::One(self.topic) };
        let environment = Arc::clone(&self.environment);
        let buffer = Buffer::new(self.environment, self.buffer_records, self.buffer_bytes);
        let buffer = Arc::new(buffer);
        let writer = Writer::new(self.logs, topics, Arc::clone(&buffer));
        drop(environment.spawn("log-layer", Box::new(move || writer.run()))?);
        Ok((StoreLayer::new(Arc::clone(&buffer)), StoreLayerGuard::new(buffer)))
    }
}
