//! What the `--help` of a command says about exit codes, and its examples.

/// Exit codes, then examples, in the form `--help` shows.
macro_rules! exits {
    ($($code:literal),* $(,)?; $($more:literal),* $(,)?) => {
        concat!(
            "Exit codes:\n",
            "   0  done\n   1  failure, told on standard error\n   2  wrong usage\n",
            $($code, "\n",)*
            $("\n", $more,)*
        )
    };
}

/// Those of commands that read a store: what else is 3, then examples.
macro_rules! open_exits {
    ($($missing:literal)?; $($more:literal),* $(,)?) => {
        exits!(
            "   3  no store in the directory",
            $($missing,)?
            "   4  wrong or missing key",
            "   5  the store is damaged",
            "  10  written by a newer release",
            "  11  access is denied, or --strict refuses the key file";
            $($more),*
        )
    };
}

/// Those of commands that write to a store: what else is 3, what is 8, then examples.
macro_rules! write_exits {
    ($($missing:literal)?; $conflict:literal; $($more:literal),* $(,)?) => {
        exits!(
            "   3  no store in the directory",
            $($missing,)?
            "   4  wrong or missing key",
            "   5  the store is damaged",
            "   6  another process writes to the store",
            "   7  the disk or the store's limit is full",
            $conflict,
            "   9  the outcome is unknown: do it again with the same ids",
            "  10  written by a newer release",
            "  11  access is denied, or --strict refuses the key file";
            $($more),*
        )
    };
}

/// Exit codes of a group of commands.
pub(super) const EXITS_GROUP: &str = exits!(;
"  more are told by the --help of each command, for example 3 for what is not there");
