//! The smallest run of each suite that needs the real program.

mod memory;
