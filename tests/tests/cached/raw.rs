//! A plain client of the server, which knows nothing of stores.

use std::io::{BufRead, BufReader, Write as _};
use std::net::TcpStream;

/// Sends a command to the server over a connection of its own, and returns the whole reply: what a
/// text holds, or what stands behind the `+` or `:` of another reply.
pub(super) fn command(url: &str, words: &[&str]) -> String {
    let mut stream = TcpStream::connect(url.trim_start_matches("redis://")).unwrap();
    let mut request = format!("*{}\r\n", words.len());
    for word in words {
        request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    stream.write_all(request.as_bytes()).unwrap();
    read_reply(&mut BufReader::new(stream), words[0])
}

fn read_reply(stream: &mut impl BufRead, command: &str) -> String {
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    let line = line.strip_suffix("\r\n").expect("the reply is whole");
    let (kind, rest) = line.split_at_checked(1).expect("there is a reply");
    match kind {
        "+" | ":" => rest.to_owned(),
        "$" => {
            let mut text = vec![0; rest.parse().expect("there is a text")];
            stream.read_exact(&mut text).expect("the reply is whole");
            String::from_utf8(text).unwrap()
        }
        _ => panic!("{command} is answered by {line}"),
    }
}

/// How many GETs the server has answered.
pub(super) fn gets(url: &str) -> u64 {
    let stats = command(url, &["INFO", "commandstats"]);
    let calls = stats.split("cmdstat_get:calls=").nth(1);
    let calls = calls.and_then(|calls| calls.split(',').next());
    // The server names no command that was never called.
    calls.map_or(0, |calls| calls.parse().unwrap())
}

/// Cuts each connection over which changes are told, and returns how many there were.
pub(super) fn kill_watches(url: &str) -> usize {
    let clients = command(url, &["CLIENT", "LIST"]);
    let word = |client: &str, name| {
        let mut words = client.split(' ');
        words.find_map(|word| word.strip_prefix(name).map(str::to_owned))
    };
    let tells = |client: &&str| word(client, "flags=").is_some_and(|flags| flags.contains('B'));
    let watches = clients.lines().filter(tells);
    let killed = watches.map(|client| {
        let id = word(client, "id=").unwrap();
        assert_eq!(command(url, &["CLIENT", "KILL", "ID", &id]), "1");
    });
    killed.count()
}

#[test]
#[should_panic(expected = "the reply is whole")]
fn a_reply_that_is_cut_short_is_no_reply() {
    read_reply(&mut "$40\r\n# Commandstats\r\n".as_bytes(), "INFO");
}
