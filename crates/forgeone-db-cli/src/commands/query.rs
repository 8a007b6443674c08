//! `events get` and `events query`: finding events.

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
    for event in manager.query_events(query(args))? {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                // What was found before the damage is worth having.
                output.flush()?;
                return Err(error.into());
            }
        };
        if output.event(&event)? == Reader::Gone {
            return Ok(());
        }
    }
    output.flush()?;
    Ok(())
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
