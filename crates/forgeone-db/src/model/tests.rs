//! Records outlive releases: if a field's name, a default or a number changed, data that users
//! hold would be read as something else. The exact JSON, the limits and the meaning of patterns
//! are pinned here.

mod json;
mod limits;
mod line_end;
mod severity;
mod streamable;
mod topics;
