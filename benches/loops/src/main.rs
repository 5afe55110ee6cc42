//! `thanoxide-loops list`, or `thanoxide-loops <loop>`: runs one hot loop once, in [`measured`], and says how many items it
//! went over.
//!
//! Instructions are counted from outside, by `valgrind --tool=callgrind --toggle-collect='*measured*'`, so that neither the
//! preparation nor a busy machine changes the figure. `cargo xtask callgrind` does that for all loops and compares with
//! `baseline.txt`.

use anyhow::{Context, Result};

mod loops;

use loops::{LOOPS, Prepared};

fn main() -> Result<()> {
    let name = std::env::args().nth(1).context("usage: thanoxide-loops list | <loop>")?;
    if name == "list" {
        LOOPS.iter().for_each(|(name, _)| println!("{name}"));
        return Ok(());
    }
    let (_, prepare) = LOOPS.iter().find(|(known, _)| *known == name).with_context(|| format!("no loop {name:?}"))?;
    let mut prepared = prepare();
    prepared();
    println!("{} items", measured(&mut prepared));
    Ok(())
}

/// What callgrind counts.
#[inline(never)]
fn measured(prepared: &mut Prepared) -> usize {
    prepared()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_loop_goes_over_items_and_goes_over_as_many_again() {
        assert_eq!(LOOPS.len(), 12);
        for (name, prepare) in LOOPS {
            let mut prepared = prepare();
            let items = prepared();
            assert!(items > 0 && measured(&mut prepared) == items, "{name}");
        }
    }
}
