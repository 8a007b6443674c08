//! Years and zones that lines leave out.

use super::{at, options, say_with};
use crate::logs::format::FormatOptions;
use chrono::{DateTime, FixedOffset, Utc};

fn year_of(now: &str, line: &str) -> String {
    say_with(FormatOptions::new(at(now)), line).1
}

#[test]
fn a_missing_year_brings_the_time_closest_but_at_most_a_day_after_now() {
    let line = "Jan  1 00:00:00 h x";
    assert_eq!(year_of("2026-03-10T12:00:00Z", line), "2026-01-01T00:00:00Z");
    assert_eq!(year_of("2025-12-31T00:00:00Z", line), "2026-01-01T00:00:00Z");
    assert_eq!(year_of("2025-12-30T23:59:59Z", line), "2025-01-01T00:00:00Z");
    let line = "Dec 31 23:59:59 h x";
    assert_eq!(year_of("2026-01-01T00:00:00Z", line), "2025-12-31T23:59:59Z");
    assert_eq!(year_of("2026-12-30T23:59:59Z", line), "2026-12-31T23:59:59Z");
}

#[test]
fn a_29_february_without_a_year_lies_in_the_last_leap_year() {
    let line = "Feb 29 10:00:00 h x";
    assert_eq!(year_of("2026-03-10T12:00:00Z", line), "2024-02-29T10:00:00Z");
    assert_eq!(year_of("1903-03-10T12:00:00Z", line), "1896-02-29T10:00:00Z");
    assert_eq!(year_of("2026-03-10T12:00:00Z", "Feb 30 10:00:00 h x"), "-");
}

#[test]
fn a_given_year_replaces_the_rule() {
    let given = |year| FormatOptions { year: Some(year), ..options() };
    assert_eq!(say_with(given(2005), "Jul  9 10:00:00 h x").1, "2005-07-09T10:00:00Z");
    assert_eq!(say_with(given(2005), "Feb 29 10:00:00 h x").1, "-");
    assert_eq!(say_with(given(i32::MAX), "Jul  9 10:00:00 h x").1, "-");
    assert_eq!(say_with(given(2005), "2024-05-06 07:08:09 x").1, "2024-05-06T07:08:09Z");
}

#[test]
fn the_zone_is_that_of_the_line_or_the_given_one() {
    let zone = FixedOffset::east_opt(-5 * 3600).unwrap();
    let options = FormatOptions { zone, ..options() };
    assert_eq!(say_with(options.clone(), "2024-05-06 23:08:09 x").1, "2024-05-07T04:08:09Z");
    assert_eq!(say_with(options.clone(), "2024-05-06 23:08:09Z x").1, "2024-05-06T23:08:09Z");
    assert_eq!(say_with(options.clone(), "1700000000 x").1, "2023-11-14T22:13:20Z");
    // In that zone it is still 2025.
    let now = at("2026-01-01T02:00:00Z");
    let options = FormatOptions { now, ..options };
    assert_eq!(say_with(options, "Dec 31 20:59:00 h x").1, "2026-01-01T01:59:00Z");
}

#[test]
fn the_ends_of_the_calendar_are_no_panic() {
    for now in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
        say_with(FormatOptions::new(now), "Dec 31 23:59:60 h x");
        say_with(FormatOptions::new(now), "05-06 07:08:09.123 W/Tag( 1702): x");
    }
    assert_eq!(say_with(options(), "9999-12-31T23:59:59-23:59 x").1, "+10000-01-01T23:58:59Z");
}
