//! `events get` and `events query`: finding events.

use super::missing::Missing;
use crate::args::QueryArgs;
use crate::exit::{Exit, Failure};
use crate::output::Reader;
use crate::store::Place;
use forgeone_db::{EventQuery, QueryOrder, TopicPattern};
use uuid::Uuid;

pub(super) fn get(place: &Place, id: Uuid) -> Result<(), Failure> {
    let manager = place.read()?;
    let found = manager.get_event(id)?;
    if found.is_empty() {
        return Err(Failure::new(Exit::NotFound, format!("there is no event with the id {id}"))
            .hint("`forgeone-db events query` finds events by topic and time"));
    }
    let mut output = place.output();
    for event in &found {
        output.event(event)?;
    }
    output.flush()?;
    Ok(())
}

pub(super) fn run(place: &Place, args: QueryArgs) -> Result<(), Failure> {
    let manager = place.read()?;
    let mut output = place.output();
    let mut missing = Missing::default();
    for event in manager.query_events(query(args))? {
        match event {
            Ok(event) if output.event(&event)? == Reader::Gone => return Ok(()),
            Ok(_) => {}
            Err(error) => {
                // What was found before is worth having, and comes before what is said of the rest.
                output.flush()?;
                missing.tell(error)?;
            }
        }
    }
    output.flush()?;
    missing.end()
}

fn query(args: QueryArgs) -> EventQuery {
    let mut query = EventQuery::new(args.topic.unwrap_or_else(TopicPattern::all));
    if let Some(from) = args.from {
        query = query.from(from);
    }
    if let Some(to) = args.to {
        query = query.to(to);
    }
    if let Some(after) = args.after {
        query = query.after(after);
    }
    if let Some(priority) = args.priority {
        query = query.priority_min(priority);
    }
    if let Some(limit) = args.limit {
        query = query.limit(limit);
    }
    if args.reverse {
        query = query.order(QueryOrder::NewestFirst);
    }
    query
}
