//! The layer itself: what runs on the program's threads.

use crate::buffer::Buffer;
use crate::builder::StoreLayerBuilder;
use crate::fields::Fields;
use crate::limits::SPANS_MAX;
use crate::record::{Record, SpanPart};
use crate::stats::DropReason;
use forgeone_db::LogManager;
use forgeone_db::environment::{Timestamp, on_store_thread};
use std::cell::Cell;
use std::sync::Arc;
use tracing_core::span::{Attributes, Id, Record as Values};
use tracing_core::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// Stores a program's events as log entries. See [the crate](crate).
///
/// Filters are those of `tracing-subscriber`, put around it by `with_filter`.
#[derive(Debug)]
pub struct StoreLayer {
    buffer: Arc<Buffer>,
}

impl StoreLayer {
    /// Starts a layer that stores into these logs.
    pub fn builder(logs: LogManager) -> StoreLayerBuilder {
        StoreLayerBuilder::new(logs)
    }

    pub(crate) fn new(buffer: Arc<Buffer>) -> Self {
        Self { buffer }
    }
}

/// A span's fields, among what other layers keep with the span.
struct SpanFields(Arc<Fields>);

impl<S> Layer<S> for StoreLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(_formatting) = Formatting::start() else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            drop(span.extensions_mut().replace(SpanFields(Arc::new(fields))));
        }
    }

    fn on_record(&self, id: &Id, values: &Values<'_>, context: Context<'_, S>) {
        let Some(_formatting) = Formatting::start() else { return };
        let Some(span) = context.span(id) else { return };
        // Formatted outside the lock of the span, which a field's `Display` may want itself.
        let known = span.extensions().get::<SpanFields>().map(|fields| Arc::clone(&fields.0));
        let mut fields = known.as_deref().cloned().unwrap_or_default();
        values.record(&mut fields);
        let old = span.extensions_mut().replace(SpanFields(Arc::new(fields)));
        drop(old);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if on_store_thread() {
            return self.buffer.ignore();
        }
        let Some(_formatting) = Formatting::start() else {
            return self.buffer.refuse(DropReason::Nested);
        };
        if self.buffer.refuse_if_full() {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let (spans, spans_cut) = spans_of(event, &context);
        self.buffer.push(Record {
            time: Timestamp::default(),
            metadata: event.metadata(),
            fields,
            spans,
            spans_cut,
            thread: std::thread::current(),
        });
    }
}

/// The spans of an event, innermost first, and whether there were more.
fn spans_of<S>(event: &Event<'_>, context: &Context<'_, S>) -> (Vec<SpanPart>, bool)
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let mut scope = context.event_scope(event).into_iter().flatten();
    let spans = scope.by_ref().take(SPANS_MAX).map(|span| SpanPart {
        name: span.name(),
        fields: span.extensions().get::<SpanFields>().map(|fields| Arc::clone(&fields.0)),
    });
    let spans = spans.collect();
    (spans, scope.next().is_some())
}

thread_local! {
    static FORMATTING: Cell<bool> = const { Cell::new(false) };
}

/// That this thread is in the layer. What is logged meanwhile comes from a field's `Display` or
/// `Debug`; following it could lead round in circles.
struct Formatting;

impl Formatting {
    /// `None` if the thread is in the layer already, or about to end.
    fn start() -> Option<Self> {
        let was = FORMATTING.try_with(|formatting| formatting.replace(true));
        (was == Ok(false)).then_some(Self)
    }
}

impl Drop for Formatting {
    fn drop(&mut self) {
        // Without the cell the thread is ending, and there is nothing to put back.
        FORMATTING.try_with(|formatting| formatting.set(false)).unwrap_or_default();
    }
}
