//! Resources without a function: texts, bytes, files and folders.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use mcp_server::client::ClientError;
use mcp_server::{
    BytesResource, Client, DirectoryResource, FileResource, ResourceDefinition, Server,
    ServerBuilder, TextResource,
};
use serde_json::{Value, json};
use tempfile::TempDir;

async fn client_of(builder: ServerBuilder) -> Client {
    Client::connect(&builder.build().unwrap()).await.unwrap()
}

async fn read(client: &Client, uri: &str) -> Result<Value, ClientError> {
    let mut result = client.read_resource(uri).await?;
    assert_eq!(result.contents.len(), 1);
    Ok(serde_json::to_value(result.contents.remove(0)).unwrap())
}

fn write(folder: &Path, path: &str, data: &[u8]) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, data).unwrap();
}

#[tokio::test]
async fn texts_and_bytes_are_read_with_their_type_and_size() {
    let page = ResourceDefinition::new("text://page", "page").with_mime_type("text/html");
    let builder = Server::builder("Test")
        .resource(TextResource::new("text://motd", "Grüße"))
        .resource(TextResource::new(page, "<p>"))
        .resource(BytesResource::new("data://raw", vec![0xff, 0]));
    let client = client_of(builder).await;
    let listed = client.list_resources().await.unwrap();
    assert_eq!(
        serde_json::to_value(listed).unwrap(),
        json!([
            {"uri": "data://raw", "name": "raw", "title": "Raw",
                "mimeType": "application/octet-stream", "size": 2},
            {"uri": "text://motd", "name": "motd", "title": "Motd",
                "mimeType": "text/plain", "size": 7},
            {"uri": "text://page", "name": "page", "title": "Page",
                "mimeType": "text/html", "size": 3},
        ])
    );
    assert_eq!(
        read(&client, "data://raw").await.unwrap(),
        json!({"uri": "data://raw", "mimeType": "application/octet-stream", "blob": "/wA="})
    );
    assert_eq!(
        read(&client, "text://motd").await.unwrap(),
        json!({"uri": "text://motd", "mimeType": "text/plain", "text": "Grüße"})
    );
    assert_eq!(
        read(&client, "text://page").await.unwrap()["mimeType"],
        "text/html"
    );
}

#[test]
fn what_debug_prints_holds_no_content() {
    let motd = TextResource::new("text://motd", "secret");
    assert_eq!(
        format!("{motd:?}"),
        r#"TextResource { uri: "text://motd", bytes: 6 }"#
    );
}

#[tokio::test]
async fn a_file_is_read_as_it_is_now() {
    let folder = TempDir::new().unwrap();
    write(folder.path(), "a.md", b"# One");
    write(folder.path(), "b", &[0xff]);
    let file = |uri: &str, name: &str| FileResource::new(uri, folder.path().join(name));
    let builder = Server::builder("Test").resource(file("docs://a", "a.md"));
    let client = client_of(builder.resource(file("docs://b", "b"))).await;
    let text = |text: &str| json!({"uri": "docs://a", "mimeType": "text/markdown", "text": text});
    assert_eq!(read(&client, "docs://a").await.unwrap(), text("# One"));
    write(folder.path(), "a.md", b"# Two");
    assert_eq!(read(&client, "docs://a").await.unwrap(), text("# Two"));
    assert_eq!(
        read(&client, "docs://b").await.unwrap(),
        json!({"uri": "docs://b", "mimeType": "application/octet-stream", "blob": "/w=="})
    );
}

#[tokio::test]
async fn a_file_is_not_read_when_it_is_too_large_or_none() {
    let folder = TempDir::new().unwrap();
    write(folder.path(), "a", b"12345");
    let small = FileResource::new("docs://small", folder.path().join("a"));
    let exact = FileResource::new("docs://exact", folder.path().join("a"));
    let builder = Server::builder("Test")
        .resource(small.with_max_bytes(4))
        .resource(exact.with_max_bytes(5))
        .resource(FileResource::new("docs://gone", folder.path().join("b")))
        .resource(FileResource::new("docs://folder", folder.path()))
        .resource(FileResource::new("docs://endless", "/dev/zero"));
    let client = client_of(builder).await;
    assert_eq!(
        read(&client, "docs://exact").await.unwrap()["text"],
        "12345"
    );
    let error = read(&client, "docs://small").await.unwrap_err();
    assert_eq!(error.to_string(), "the file has more than 4 bytes");
    for uri in ["docs://gone", "docs://folder", "docs://endless"] {
        let error = read(&client, uri).await.unwrap_err();
        assert_eq!(error.code(), Some(-32603));
        assert_eq!(error.to_string(), format!("Error reading resource '{uri}'"));
    }
}

/// Makes a folder `root` with files, links and hidden things, beside a `secret`.
fn manual() -> TempDir {
    let folder = TempDir::new().unwrap();
    let root = folder.path().join("root");
    write(folder.path(), "secret", b"hunter2");
    write(folder.path(), "outside/b.md", b"# B");
    write(&root, "index.md", b"# Index");
    write(&root, "a b/c\u{e9}.txt", b"c");
    write(&root, "pixel.png", &[0xff]);
    write(&root, ".env", b"hunter2");
    write(&root, ".git/config", b"hunter2");
    symlink("../secret", root.join("link")).unwrap();
    symlink(folder.path().join("secret"), root.join("a b/absolute")).unwrap();
    symlink("../outside", root.join("folder")).unwrap();
    symlink("..", root.join("a b/up")).unwrap();
    symlink(".env", root.join("env")).unwrap();
    symlink("index.md", root.join("same.md")).unwrap();
    symlink("loop", root.join("loop")).unwrap();
    folder
}

fn resource_of(folder: &TempDir) -> DirectoryResource {
    DirectoryResource::new("docs://manual", folder.path().join("root"))
}

#[tokio::test]
async fn a_folder_is_the_list_of_its_files() {
    let folder = manual();
    let client = client_of(Server::builder("Test").resource(resource_of(&folder))).await;
    let contents = read(&client, "docs://manual").await.unwrap();
    assert_eq!(contents["mimeType"], "application/json");
    let list: Value = serde_json::from_str(contents["text"].as_str().unwrap()).unwrap();
    assert_eq!(
        list,
        json!({"files": [
            {"path": "a b/cé.txt", "uri": "docs://manual/a%20b/c%C3%A9.txt", "size": 1,
                "mimeType": "text/plain"},
            {"path": "index.md", "uri": "docs://manual/index.md", "size": 7,
                "mimeType": "text/markdown"},
            {"path": "pixel.png", "uri": "docs://manual/pixel.png", "size": 1,
                "mimeType": "image/png"},
            {"path": "same.md", "uri": "docs://manual/same.md", "size": 7,
                "mimeType": "text/markdown"},
        ]})
    );
}

#[tokio::test]
async fn the_files_of_a_folder_are_read_by_their_uris() {
    let folder = manual();
    let resource = resource_of(&folder);
    let builder = Server::builder("Test").resource(resource.files());
    let client = client_of(builder.resource(resource)).await;
    let list = read(&client, "docs://manual").await.unwrap();
    let list: Value = serde_json::from_str(list["text"].as_str().unwrap()).unwrap();
    for file in list["files"].as_array().unwrap() {
        let uri = file["uri"].as_str().unwrap();
        let contents = read(&client, uri).await.unwrap();
        assert_eq!(contents["uri"], uri);
        assert_eq!(contents["mimeType"], file["mimeType"]);
    }
    let contents = read(&client, "docs://manual/pixel.png").await.unwrap();
    assert_eq!(contents["blob"], "/w==");
    let templates = client.list_resource_templates().await.unwrap();
    assert_eq!(templates[0].uri_template, "docs://manual/{path*}");
    assert_eq!(templates[0].name, "manual_files");
}

#[tokio::test]
async fn nothing_outside_of_a_folder_or_hidden_is_read() {
    let folder = manual();
    let client = client_of(Server::builder("Test").resource(resource_of(&folder).files())).await;
    for path in [
        "link",
        "a%20b/absolute",
        "folder/b.md",
        "a%20b/up/link",
        "env",
        ".env",
        ".git/config",
        "%2Eenv",
        "loop",
        "gone",
        "a%20b",
        "index.md/x",
        "./.env",
    ] {
        let uri = format!("docs://manual/{path}");
        let error = read(&client, &uri).await.unwrap_err();
        assert_eq!(error.code(), Some(-32602), "{path}");
        assert_eq!(error.to_string(), "there is no such file", "{path}");
    }
    for path in [
        "../secret",
        "a%20b/..%2f..%2fsecret",
        "%2fetc/passwd",
        "..%5csecret",
        "a%00",
    ] {
        let uri = format!("docs://manual/{path}");
        let error = read(&client, &uri).await.unwrap_err();
        assert!(error.to_string().starts_with("Unknown resource"), "{error}");
    }
    // A link that stays in the folder is followed, also by a path through it.
    let uri = "docs://manual/a%20b/up/index.md";
    assert_eq!(read(&client, uri).await.unwrap()["text"], "# Index");
}

#[tokio::test]
async fn hidden_files_are_there_when_they_may_be() {
    let folder = manual();
    let resource = resource_of(&folder).with_hidden(true);
    let builder = Server::builder("Test").resource(resource.files());
    let client = client_of(builder.resource(resource)).await;
    let uri = "docs://manual/.git/config";
    assert_eq!(read(&client, uri).await.unwrap()["text"], "hunter2");
    let list = read(&client, "docs://manual").await.unwrap();
    let list: Value = serde_json::from_str(list["text"].as_str().unwrap()).unwrap();
    assert_eq!(list["files"][0]["path"], ".env");
    read(&client, "docs://manual/link").await.unwrap_err();
}

#[tokio::test]
async fn a_folder_that_is_gone_is_a_masked_error() {
    let resource = DirectoryResource::new("docs://manual", "/nonexistent/folder");
    let builder = Server::builder("Test").resource(resource.files());
    let client = client_of(builder.resource(resource)).await;
    for uri in ["docs://manual", "docs://manual/a"] {
        let error = read(&client, uri).await.unwrap_err();
        assert_eq!(error.to_string(), format!("Error reading resource '{uri}'"));
    }
}
