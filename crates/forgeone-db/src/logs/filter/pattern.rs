//! A regular expression whose cost is bounded: what would take too long is told, not done.
//!
//! A line is searched by whatever is fastest, as long as its length times the expression's states,
//! the work at worst, is not too much. A longer one is tried on a lazy automaton, one step a byte,
//! which gives up when it would have to build a new state for nearly every byte.

use forgeone_db_engine::{Error, ErrorKind, Result};
use memchr::memmem::Finder;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::meta;
use regex_automata::nfa::thompson::NFA;
use regex_automata::util::pool::Pool;
use regex_automata::util::syntax;
use regex_automata::{Input, MatchErrorKind};
use regex_syntax::hir::Hir;
use regex_syntax::hir::literal::Extractor;
use std::fmt;
use std::sync::Arc;

/// Bytes of the longest regular expression.
const REGEX_BYTES_MAX: usize = 4096;
/// Bytes that a compiled regular expression may take.
const REGEX_PROGRAM_BYTES_MAX: usize = 1 << 20;
/// Bytes of the states that one search may keep.
const REGEX_CACHE_BYTES_MAX: usize = 2 << 20;
/// Groups within groups.
const REGEX_NEST_MAX: u32 = 64;
/// The lazy automaton gives up once it has forgotten all states this often, at fewer than
/// [`BYTES_PER_STATE_MIN`] bytes for each state it has built.
const CACHE_CLEARS_MIN: usize = 4;
const BYTES_PER_STATE_MIN: usize = 10;
/// Bytes of a line times states of the expression that are tried: about a second's work.
const STEPS_MAX: usize = 100_000_000;
/// More literals than this are no faster to look for than the expression itself.
const LITERALS_MAX: usize = 16;
/// Shorter literals are everywhere.
const LITERAL_BYTES_MIN: usize = 2;

type MakeCache = Box<dyn Fn() -> Cache + Send + Sync>;

/// A compiled regular expression.
#[derive(Clone)]
pub(super) struct Pattern(Arc<Compiled>);

struct Compiled {
    lazy: DFA,
    caches: Pool<Cache, MakeCache>,
    thorough: meta::Regex,
    /// States of which each byte of a line may visit all.
    states: usize,
    /// Every match starts with one of these; empty if that is not known.
    literals: Vec<Finder<'static>>,
    /// Whether a match is one wherever it stands: nothing in the expression looks at what is before
    /// or behind it.
    floating: bool,
}

impl Pattern {
    /// # Errors
    /// `Invalid` when it is none, or beyond the limits.
    pub(super) fn new(pattern: &str) -> Result<Self> {
        if pattern.len() > REGEX_BYTES_MAX {
            return Err(Error::new(ErrorKind::Invalid, "a regular expression is too long")
                .with("bytes", pattern.len())
                .with("bytes_max", REGEX_BYTES_MAX));
        }
        let parsed = regex_syntax::ParserBuilder::new()
            .utf8(false)
            .nest_limit(REGEX_NEST_MAX)
            .build()
            .parse(pattern)
            .map_err(|error| no_expression(&error))?;
        let syntax = syntax::Config::new().utf8(false).nest_limit(REGEX_NEST_MAX);
        let thompson = NFA::config().utf8(false).nfa_size_limit(Some(REGEX_PROGRAM_BYTES_MAX));
        let nfa =
            NFA::compiler().syntax(syntax).configure(thompson).build(pattern).map_err(|error| {
                match error.size_limit() {
                    Some(_) => too_large(),
                    None => no_expression(&error),
                }
            })?;
        let states = nfa.states().len();
        let config = DFA::config()
            .unicode_word_boundary(true)
            .cache_capacity(REGEX_CACHE_BYTES_MAX)
            .skip_cache_capacity_check(true)
            .minimum_cache_clear_count(Some(CACHE_CLEARS_MIN))
            .minimum_bytes_per_state(Some(BYTES_PER_STATE_MIN));
        let lazy = DFA::builder().configure(config).build_from_nfa(nfa).map_err(|_| too_large())?;
        let meta = meta::Config::new()
            .utf8_empty(false)
            .nfa_size_limit(Some(REGEX_PROGRAM_BYTES_MAX))
            .hybrid_cache_capacity(REGEX_CACHE_BYTES_MAX);
        let thorough = meta::Builder::new()
            .configure(meta)
            .build_from_hir(&parsed)
            .map_err(|_| too_large())?;
        let for_cache = lazy.clone();
        let make: MakeCache = Box::new(move || for_cache.create_cache());
        Ok(Self(Arc::new(Compiled {
            lazy,
            caches: Pool::new(make),
            thorough,
            states,
            literals: leading_literals(&parsed),
            floating: parsed.properties().look_set().is_empty(),
        })))
    }

    /// Whether one of the records in these columns may match. Never wrong when it says no.
    pub(super) fn may_match(&self, columns: &[u8]) -> bool {
        if !self.0.literals.is_empty() {
            return self.0.literals.iter().any(|finder| finder.find(columns).is_some());
        }
        !self.0.floating || self.search(columns) != Some(false)
    }

    /// # Errors
    /// `Invalid` when finding out would take too long.
    pub(super) fn is_match(&self, line: &[u8]) -> Result<bool> {
        self.search(line).ok_or_else(|| {
            Error::new(
                ErrorKind::Invalid,
                "the regular expression takes too long on a long line; simplify it",
            )
            .with("bytes", line.len())
            .with("states", self.0.states)
        })
    }

    /// `None` when that would take too long.
    fn search(&self, haystack: &[u8]) -> Option<bool> {
        if haystack.len().saturating_mul(self.0.states) <= STEPS_MAX {
            return Some(self.0.thorough.is_match(haystack));
        }
        self.search_lazily(haystack)
    }

    /// `None` when the automaton gives up, or meets a byte that it does not know what to do with.
    fn search_lazily(&self, haystack: &[u8]) -> Option<bool> {
        let mut cache = self.0.caches.get();
        let input = Input::new(haystack).earliest(true);
        match self.0.lazy.try_search_fwd(&mut cache, &input) {
            Ok(found) => Some(found.is_some()),
            Err(error) => {
                if matches!(error.kind(), MatchErrorKind::GaveUp { .. }) {
                    // The next line may be easier.
                    cache.reset(&self.0.lazy);
                }
                None
            }
        }
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pattern").field("states", &self.0.states).finish_non_exhaustive()
    }
}

fn too_large() -> Error {
    Error::new(
        ErrorKind::Invalid,
        "the regular expression needs too much memory; repeat less, or ask for ASCII: (?-u)",
    )
    .with("bytes_max", REGEX_PROGRAM_BYTES_MAX)
}

fn no_expression(error: &dyn fmt::Display) -> Error {
    Error::new(ErrorKind::Invalid, "this is no regular expression")
        .with("cause", error.to_string().escape_debug())
}

/// Literals one of which every match starts with; none if there are too many, or they are too short
/// to rule anything out.
fn leading_literals(parsed: &Hir) -> Vec<Finder<'static>> {
    let found = Extractor::new().limit_total(LITERALS_MAX).extract(parsed);
    let Some(literals) = found.literals() else { return Vec::new() };
    let too_short = literals.iter().any(|literal| literal.len() < LITERAL_BYTES_MIN);
    if too_short || literals.len() > LITERALS_MAX {
        return Vec::new();
    }
    literals.iter().map(|literal| Finder::new(literal.as_bytes()).into_owned()).collect()
}
