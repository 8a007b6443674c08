//! A typed event comes back as itself or as a clear error, and no error quotes what it held.

use crate::model::{
    EVENT_TYPE_KEY, EventMessage, EventPriority, METADATA_BYTES_MAX, StreamableEvent,
};
use chrono::{DateTime, Utc};
use forgeone_db_engine::ErrorKind;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::HashMap;
use uuid::Uuid;

const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Login {
    user: String,
    tries: u32,
    #[serde(skip)]
    metadata: HashMap<String, String>,
}

impl StreamableEvent for Login {
    const TYPE_NAME: &'static str = "login.v1";

    fn topic(&self) -> Cow<'_, str> {
        "auth.login".into()
    }

    fn metadata(&self) -> HashMap<String, String> {
        self.metadata.clone()
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Full {
    map: HashMap<Vec<u8>, u8>,
}

impl StreamableEvent for Full {
    const TYPE_NAME: &'static str = "full.v1";

    fn topic(&self) -> Cow<'_, str> {
        Cow::Borrowed("full")
    }

    fn id(&self) -> Option<Uuid> {
        Some(Uuid::max())
    }

    fn timestamp(&self) -> Option<DateTime<Utc>> {
        Some(DateTime::<Utc>::MAX_UTC)
    }

    fn priority(&self) -> EventPriority {
        EventPriority::Critical
    }

    fn checkpoint_marker(&self) -> Option<Cow<'_, str>> {
        Some("end".into())
    }
}

fn login() -> Login {
    Login { user: "hunter2".to_owned(), tries: 3, metadata: HashMap::new() }
}

#[test]
fn an_event_that_names_nothing_takes_what_is_assigned() {
    let message = login().to_message(Uuid::max(), NOW).unwrap();
    assert_eq!((message.id, message.timestamp), (Uuid::max(), NOW));
    assert_eq!((message.priority, message.checkpoint_marker), (EventPriority::Normal, None));
    assert_eq!(message.payload, r#"{"user":"hunter2","tries":3}"#);
    let metadata = HashMap::from([(EVENT_TYPE_KEY.to_owned(), "login.v1".to_owned())]);
    assert_eq!(message.metadata, metadata);
}

#[test]
fn what_an_event_names_itself_is_kept() {
    let message = Full { map: HashMap::new() }.to_message(Uuid::nil(), NOW).unwrap();
    assert_eq!((message.id, message.timestamp), (Uuid::max(), DateTime::<Utc>::MAX_UTC));
    assert_eq!(message.priority, EventPriority::Critical);
    assert_eq!(message.checkpoint_marker.as_deref(), Some("end"));
}

#[test]
fn an_event_that_json_cannot_hold_is_invalid() {
    let full = Full { map: HashMap::from([(vec![1], 1)]) };
    let error = full.to_message(Uuid::nil(), NOW).unwrap_err();
    assert_eq!((error.kind(), error.get("type")), (ErrorKind::Invalid, Some("full.v1")));
}

#[test]
fn metadata_may_not_claim_another_type_nor_exceed_the_limit() {
    let mut login = login();
    login.metadata.insert(EVENT_TYPE_KEY.to_owned(), "other".to_owned());
    let error = login.to_message(Uuid::nil(), NOW).unwrap_err();
    assert_eq!(error.get("key"), Some(EVENT_TYPE_KEY));
    login.metadata = HashMap::from([("k".to_owned(), "v".repeat(METADATA_BYTES_MAX))]);
    let error = login.to_message(Uuid::nil(), NOW).unwrap_err();
    assert_eq!((error.kind(), error.get("type")), (ErrorKind::Invalid, Some("login.v1")));
}

#[test]
fn a_message_of_another_type_is_not_guessed_at() {
    let mut message = login().to_message(Uuid::nil(), NOW).unwrap();
    assert_eq!(Login::from_message(&message).unwrap(), login());
    message.metadata.insert(EVENT_TYPE_KEY.to_owned(), "login.v2".to_owned());
    let error = Login::from_message(&message).unwrap_err();
    assert_eq!(error.get("found"), Some("login.v2"));
    message.metadata.clear();
    assert_eq!(Login::from_message(&message).unwrap(), login());
}

#[test]
fn a_payload_that_does_not_fit_is_located_but_not_quoted() {
    let mut message = login().to_message(Uuid::nil(), NOW).unwrap();
    for (payload, reason) in [
        (r#"{"user":"u","tries":"hunter2"}"#, "JSON of another shape"),
        (r#"{"hunter2":1}"#, "JSON of another shape"),
        ("hunter2", "not JSON"),
        (r#"{"user":"hunter2""#, "JSON that ends too early"),
    ] {
        message.payload = payload.to_owned();
        let error = Login::from_message(&message).unwrap_err();
        assert_eq!(error.get("reason"), Some(reason));
        assert!(error.get("column").is_some());
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
}

#[test]
fn a_message_is_an_event_of_its_own_and_stays_as_it_is() {
    let message = login().to_message(Uuid::nil(), NOW).unwrap();
    assert_eq!(message.to_message(Uuid::max(), DateTime::<Utc>::MAX_UTC).unwrap(), message);
    assert_eq!(EventMessage::from_message(&message).unwrap(), message);
    let nameless = EventMessage { topic: String::new(), ..message };
    assert!(nameless.to_message(Uuid::nil(), NOW).is_err());
}
