//! No flag is taken and then forgotten: whatever a command's table offers, its code reads.

use std::path::Path;

use thanoxide_flags::Support;
use thanoxide_flags::tables::app;

#[test]
fn every_flag_that_is_offered_is_read() {
    let sources = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    let text: String = sources
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .fold(String::new(), |text, path| text + &std::fs::read_to_string(path).unwrap());
    let app = app("thanoxide", Default::default());
    for command in app.commands {
        for flag in command.flags.iter().copied().flatten().filter(|flag| flag.support == Support::Served) {
            // `content("x")` reads the pair `x` and `x-file`.
            let name = flag.name.strip_suffix("-file").unwrap_or(flag.name);
            let read = text.contains(&format!("\"{}\"", flag.name)) || text.contains(&format!("content(\"{name}\")"));
            // The flags of a listener's TLS are read together.
            let of_tls = flag.name.split_once("-tls-").map(|(prefix, _)| format!("\"{prefix}-tls\""));
            let read = read || of_tls.is_some_and(|prefix| text.contains(&prefix));
            assert!(read, "{} --{} is offered and never read", command.name, flag.name);
        }
    }
}
