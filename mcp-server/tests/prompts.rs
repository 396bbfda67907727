//! Prompts, as a client gets them.

use mcp_server::types::PromptMessage;
use mcp_server::{Client, Image, IntoMessage, Server, prompt};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Tone {
    Dry,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "only shown")]
struct Place {
    file: String,
    line: u32,
}

/// Shows what it takes.
#[prompt]
async fn show(
    text: String,
    number: i64,
    ratio: Option<f64>,
    strict: bool,
    tone: Tone,
    places: Vec<Place>,
) -> String {
    format!("{text} {number} {ratio:?} {strict} {tone:?} {places:?}")
}

#[prompt]
async fn talk(picture: String) -> (String, Image, PromptMessage) {
    let image = Image::new(vec![1], "image/png");
    (picture, image, "Nice.".by_assistant())
}

#[prompt(icons("https://example.com/a.png"), tags("a"), meta(level = 3))]
fn lines() -> [&'static str; 2] {
    ["one", "two"]
}

async fn client() -> Client {
    let server = Server::builder("Test").prompt(show).prompt(talk);
    let server = server.prompt(lines).build().unwrap();
    Client::connect(&server).await.unwrap()
}

async fn messages(name: &str, arguments: Value) -> Value {
    let result = client().await.get_prompt(name, arguments).await.unwrap();
    serde_json::to_value(result.messages).unwrap()
}

#[tokio::test]
async fn every_option_is_told_to_clients() {
    let prompts = client().await.list_prompts().await.unwrap();
    assert_eq!(
        serde_json::to_value(&prompts[0]).unwrap(),
        json!({
            "name": "lines",
            "title": "Lines",
            "icons": [{"src": "https://example.com/a.png"}],
            "_meta": {"level": 3, "fastmcp": {"tags": ["a"]}},
        })
    );
}

#[tokio::test]
async fn arguments_are_read_out_of_text() {
    let arguments = json!({
        "text": "12",
        "number": "-7",
        "ratio": "0.5",
        "strict": "yes",
        "tone": "dry",
        "places": r#"[{"file": "a.rs", "line": 3}]"#,
    });
    assert_eq!(
        messages("show", arguments).await[0]["content"]["text"],
        r#"12 -7 Some(0.5) true Dry [Place { file: "a.rs", line: 3 }]"#
    );
}

#[tokio::test]
async fn all_that_is_wrong_with_arguments_is_told_with_their_names() {
    let arguments = json!({
        "number": "many",
        "strict": "maybe",
        "tone": "wet",
        "places": r#"[{"file": "a.rs"}]"#,
        "txt": "12",
    });
    let error = client().await.get_prompt("show", arguments).await;
    let error = error.unwrap_err();
    assert_eq!(error.code(), Some(-32602));
    assert_eq!(
        error.to_string(),
        "missing argument `text`\n\
         argument `number`: expected i64\n\
         argument `strict`: expected a boolean\n\
         argument `tone`: expected `dry`\n\
         argument `places`: missing field `line`\n\
         unknown argument `txt`; known: text, number, ratio, strict, tone, places"
    );
}

#[tokio::test]
async fn a_talk_has_messages_of_both_with_any_content() {
    let image = json!({"type": "image", "data": "AQ==", "mimeType": "image/png"});
    assert_eq!(
        messages("talk", json!({"picture": "A cat"})).await,
        json!([
            {"role": "user", "content": {"type": "text", "text": "A cat"}},
            {"role": "user", "content": image},
            {"role": "assistant", "content": {"type": "text", "text": "Nice."}},
        ])
    );
    assert_eq!(
        messages("lines", json!({})).await.as_array().unwrap().len(),
        2
    );
}
