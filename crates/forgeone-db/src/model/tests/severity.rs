//! Severities and priorities are stored as numbers and written as names: both must stay, and
//! order by urgency.

use crate::model::{ContentHash, EventPriority, Severity, SeverityLevel};

#[test]
fn severities_are_the_numbers_1_to_24_in_order() {
    for (index, severity) in Severity::ALL.into_iter().enumerate() {
        let number = u8::try_from(index + 1).unwrap();
        assert_eq!(severity.number(), number);
        assert_eq!(Severity::from_number(number), Some(severity));
        assert_eq!(severity.to_string().parse::<Severity>().unwrap(), severity);
        assert_eq!(number.to_string().parse::<Severity>().unwrap(), severity);
        let json = serde_json::to_string(&severity).unwrap();
        assert_eq!(json, format!("\"{severity}\""));
        assert_eq!(serde_json::from_str::<Severity>(&json).unwrap(), severity);
        assert_eq!(serde_json::from_str::<Severity>(&number.to_string()).unwrap(), severity);
    }
    assert!(Severity::ALL.is_sorted());
    assert_eq!((Severity::from_number(0), Severity::from_number(25)), (None, None));
}

#[test]
fn severities_have_these_numbers_names_and_levels() {
    use Severity as S;
    use SeverityLevel as L;
    for (severity, number, name, level) in [
        (S::Trace, 1, "trace", L::Trace),
        (S::Debug4, 8, "debug4", L::Debug),
        (S::Info, 9, "info", L::Info),
        (S::Warn, 13, "warn", L::Warn),
        (S::Error2, 18, "error2", L::Error),
        (S::Fatal, 21, "fatal", L::Fatal),
        (S::Fatal4, 24, "fatal4", L::Fatal),
    ] {
        assert_eq!((severity.number(), severity.as_str(), severity.level()), (number, name, level));
    }
    assert_eq!(Severity::default(), S::Info);
}

#[test]
fn severities_are_read_from_the_names_that_logs_use() {
    for (name, severity) in [
        ("INFO", Severity::Info),
        ("Warning", Severity::Warn),
        ("ERR", Severity::Error),
        ("crit", Severity::Error2),
        ("alert", Severity::Error3),
        ("EMERG", Severity::Fatal),
        ("notice", Severity::Info2),
    ] {
        assert_eq!(name.parse::<Severity>().unwrap(), severity, "{name}");
    }
    for name in ["", "info5", "info1", "0", "25", "256", "-1", "loud"] {
        assert!(name.parse::<Severity>().is_err(), "{name}");
    }
    for json in ["0", "25", "-1", "9.0", "null", "\"loud\"", "1e300"] {
        assert!(serde_json::from_str::<Severity>(json).is_err(), "{json}");
    }
}

#[test]
fn priorities_are_ordered_and_have_these_levels_and_names() {
    let all = [(0, "low"), (1, "normal"), (2, "high"), (3, "critical")];
    for (priority, (level, name)) in EventPriority::ALL.into_iter().zip(all) {
        assert_eq!((priority.level(), priority.as_str()), (level, name));
        assert_eq!(EventPriority::from_level(level), Some(priority));
        assert_eq!(name.parse::<EventPriority>().unwrap(), priority);
        assert_eq!(serde_json::to_string(&priority).unwrap(), format!("\"{name}\""));
    }
    assert!(EventPriority::ALL.is_sorted());
    assert_eq!(EventPriority::default(), EventPriority::Normal);
    assert_eq!(EventPriority::from_level(4), None);
    assert!("High".parse::<EventPriority>().is_err());
}

#[test]
fn a_content_hash_is_read_from_its_64_digits_only() {
    let hash = ContentHash::of(b"x");
    assert_eq!(hash.to_string().parse::<ContentHash>().unwrap(), hash);
    assert_eq!(hash.to_string().to_uppercase().parse::<ContentHash>().unwrap(), hash);
    for text in [String::new(), "ab".repeat(31), "ab".repeat(33), "zz".repeat(32)] {
        assert!(text.parse::<ContentHash>().is_err(), "{text}");
    }
}
