//! Runs what is fuzzed over the kept inputs, changes of them and random ones.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

const RANDOM_INPUTS: usize = 2000;

fn run(target: &str, body: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target);
    let files = fs::read_dir(corpus).unwrap();
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    let kept: Vec<_> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
    assert!(!kept.is_empty());
    kept.iter().for_each(|input| body(input));
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..RANDOM_INPUTS {
        let mut input = kept[random.usize(..kept.len())].clone();
        for _ in 0..random.usize(1..6) {
            let place = random.usize(..=input.len());
            match random.u8(..3) {
                0 => input.insert(place, random.u8(..)),
                1 => input.truncate(place.max(1)),
                _ if place < input.len() => input[place] = random.u8(..),
                _ => {}
            }
        }
        body(&input);
    }
}

#[test]
fn envelopes_keep_their_promises_over_the_kept_inputs() {
    run("envelope", kv_fuzz::envelope);
}

#[test]
fn encrypted_values_keep_their_promises_over_the_kept_inputs() {
    run("fernet", kv_fuzz::fernet);
}

#[test]
fn names_keep_their_promises_over_the_kept_inputs() {
    run("names", kv_fuzz::names);
}

#[test]
fn cursors_keep_their_promises_over_the_kept_inputs() {
    run("cursors", kv_fuzz::cursors);
}

#[test]
fn compressed_values_keep_their_promises_over_the_kept_inputs() {
    run("compressed", kv_fuzz::compressed);
}
