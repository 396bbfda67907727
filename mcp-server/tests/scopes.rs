//! Components that only callers with certain scopes see and use.

use axum::Extension;
use mcp_server::types::object;
use mcp_server::{
    Client, Context, Principal, PromptError, ResourceError, Server, ServerBuilder, axum, prompt,
    resource, tool,
};
use serde_json::{Value, json};

use crate::http_client::Served;

#[tool]
async fn status() -> &'static str {
    "fine"
}

#[tool(scopes("admin", "write"))]
async fn wipe() -> &'static str {
    "wiped"
}

#[tool(name = "report", version = "1")]
async fn old_report() -> &'static str {
    "short"
}

#[tool(name = "report", version = "2", scopes("beta"))]
async fn report() -> &'static str {
    "long"
}

#[tool]
async fn who(cx: Context) -> Option<String> {
    let claims = cx.principal()?.claims();
    Some(claims.get("email")?.as_str()?.to_owned())
}

#[tool]
async fn peek(cx: Context) -> Result<usize, ResourceError> {
    Ok(cx.read_resource("secret://plan").await?.contents.len())
}

#[tool]
async fn draft(cx: Context) -> Result<usize, PromptError> {
    Ok(cx
        .get_prompt("plan", object(json!({})))
        .await?
        .messages
        .len())
}

#[resource("secret://plan", scopes("admin"))]
fn plan() -> &'static str {
    "the plan"
}

#[resource("secret://{id}", scopes("admin"))]
fn secret(#[complete("plan")] id: String) -> String {
    id
}

#[prompt(name = "plan", scopes("admin"))]
fn plan_prompt(#[complete("bold")] style: Option<String>) -> String {
    format!("Make a {style:?} plan.")
}

fn builder() -> ServerBuilder {
    Server::builder("Scopes")
        .tool(status)
        .tool(wipe)
        .tool(old_report)
        .tool(report)
        .tool(who)
        .tool(peek)
        .tool(draft)
        .resource(plan)
        .resource(secret)
        .prompt(plan_prompt)
}

async fn serve_to(scopes: &[&str]) -> Served {
    let claims = object(json!({ "email": "ada@example.com" }));
    let ada = Principal::user("https://id.example", "ada")
        .with_scopes(scopes.iter().copied())
        .with_claims(claims);
    let router = builder().build().unwrap().into_router().unwrap();
    Served::new(router.layer(Extension(ada))).await
}

async fn names(server: &Served, method: &str, list: &str, key: &str) -> Vec<String> {
    let mut answer = server.modern(method, "", json!({})).await;
    let items = answer["result"][list].take();
    let names = items.as_array().unwrap().iter();
    names
        .map(|item| item[key].as_str().unwrap().to_owned())
        .collect()
}

async fn called(server: &Served, tool: &str) -> Value {
    let params = json!({ "name": tool, "arguments": {} });
    server.modern("tools/call", tool, params).await
}

#[track_caller]
fn assert_refused(answer: &Value, scope: &str) {
    assert_eq!(answer["error"]["code"], -32003, "{answer}");
    let data = json!({ "error": "insufficient_scope", "scope": scope });
    assert_eq!(answer["error"]["data"], data, "{answer}");
}

#[tokio::test]
async fn a_caller_sees_what_it_has_the_scopes_for() {
    let server = serve_to(&["admin"]).await;
    let tools = names(&server, "tools/list", "tools", "name").await;
    assert_eq!(tools, ["draft", "peek", "report", "status", "who"]);
    let server = serve_to(&["write", "admin"]).await;
    let tools = names(&server, "tools/list", "tools", "name").await;
    assert!(tools.contains(&"wipe".to_owned()));
    for (scopes, count) in [(&["admin"][..], 1), (&[], 0)] {
        let server = serve_to(scopes).await;
        for (method, list, key) in [
            ("resources/list", "resources", "uri"),
            (
                "resources/templates/list",
                "resourceTemplates",
                "uriTemplate",
            ),
            ("prompts/list", "prompts", "name"),
        ] {
            assert_eq!(
                names(&server, method, list, key).await.len(),
                count,
                "{method}"
            );
        }
    }
}

#[tokio::test]
async fn a_caller_without_a_scope_is_told_all_that_are_needed() {
    let server = serve_to(&["admin"]).await;
    assert_refused(&called(&server, "wipe").await, "admin write");
    let server = serve_to(&[]).await;
    for uri in ["secret://plan", "secret://other"] {
        let read = server
            .modern("resources/read", uri, json!({ "uri": uri }))
            .await;
        assert_refused(&read, "admin");
    }
    let got = server
        .modern("prompts/get", "plan", json!({ "name": "plan" }))
        .await;
    assert_refused(&got, "admin");
    for reference in [
        json!({ "type": "ref/prompt", "name": "plan" }),
        json!({ "type": "ref/resource", "uri": "secret://{id}" }),
        json!({ "type": "ref/resource", "uri": "secret://plan" }),
    ] {
        let params = json!({ "ref": reference, "argument": { "name": "id", "value": "" } });
        let suggested = server.modern("completion/complete", "", params).await;
        assert_refused(&suggested, "admin");
    }
    let session = server.handshake().await;
    let params = json!({ "uri": "secret://plan" });
    let subscribed = server.ask_in(&session, "resources/subscribe", params).await;
    assert_refused(&subscribed, "admin");
}

#[tokio::test]
async fn a_caller_with_all_scopes_is_answered() {
    let server = serve_to(&["admin", "write"]).await;
    let answer = called(&server, "wipe").await;
    assert_eq!(answer["result"]["content"][0]["text"], "wiped");
    let uri = "secret://plan";
    let read = server
        .modern("resources/read", uri, json!({ "uri": uri }))
        .await;
    assert_eq!(read["result"]["contents"][0]["text"], "the plan");
}

#[tokio::test]
async fn the_highest_version_is_that_which_the_caller_may_use() {
    for (scopes, said, versions) in [
        (&[][..], "short", json!(["1"])),
        (&["beta"], "long", json!(["2", "1"])),
    ] {
        let server = serve_to(scopes).await;
        let answer = called(&server, "report").await;
        assert_eq!(answer["result"]["content"][0]["text"], said);
        let answer = server.modern("tools/list", "", json!({})).await;
        let tools = answer["result"]["tools"].as_array().unwrap();
        let listed = tools.iter().find(|tool| tool["name"] == "report").unwrap();
        assert_eq!(listed["_meta"]["fastmcp"]["versions"], versions);
    }
}

#[tokio::test]
async fn a_page_is_full_although_some_is_hidden() {
    let router = builder()
        .list_page_size(4)
        .build()
        .unwrap()
        .into_router()
        .unwrap();
    let server = Served::new(router).await;
    let page = server.modern("tools/list", "", json!({})).await;
    let names = |page: &Value| -> Vec<String> {
        let tools = page["result"]["tools"].as_array().unwrap().iter();
        tools
            .map(|tool| tool["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(&page), ["draft", "peek", "report", "status"]);
    let cursor = page["result"]["nextCursor"].clone();
    let rest = server
        .modern("tools/list", "", json!({ "cursor": cursor }))
        .await;
    assert_eq!(names(&rest), ["who"]);
    assert!(rest["result"].get("nextCursor").is_none());
}

#[tokio::test]
async fn a_tool_reads_and_renders_with_the_scopes_of_its_caller() {
    let server = serve_to(&[]).await;
    for tool in ["peek", "draft"] {
        let answer = called(&server, tool).await;
        assert_eq!(answer["result"]["isError"], true, "{answer}");
    }
    let server = serve_to(&["admin"]).await;
    for tool in ["peek", "draft"] {
        let answer = called(&server, tool).await;
        assert_eq!(
            answer["result"]["structuredContent"]["result"], 1,
            "{answer}"
        );
    }
}

#[tokio::test]
async fn a_tool_knows_the_claims_of_its_caller() {
    let answer = called(&serve_to(&[]).await, "who").await;
    assert_eq!(
        answer["result"]["structuredContent"]["result"],
        "ada@example.com"
    );
}

#[tokio::test]
async fn the_one_local_user_needs_no_scopes() {
    let server = builder().build().unwrap();
    let client = Client::connect(&server).await.unwrap();
    let said: String = client.call_tool("wipe", ()).await.unwrap();
    assert_eq!(said, "wiped");
    assert_eq!(client.list_tools().await.unwrap().len(), 6);
}

#[resource("secret://{id}", version = "9")]
fn anything(id: String) -> String {
    format!("anything {id}")
}

#[resource("files://private/{name}", scopes("admin"))]
fn private_file(name: String) -> String {
    name
}

#[resource("files://{path*}")]
fn any_file(path: String) -> String {
    format!("any {path}")
}

/// The scoped resources, and templates without scopes that match the same URIs.
fn overlapping() -> ServerBuilder {
    let server = Server::builder("Overlapping")
        .resource(plan)
        .resource(anything);
    server.resource(private_file).resource(any_file)
}

#[tokio::test]
async fn what_a_caller_may_not_read_is_not_found_by_a_template_of_others() {
    let bob = Principal::user("https://id.example", "bob");
    let router = overlapping().build().unwrap().into_router().unwrap();
    let server = Served::new(router.layer(Extension(bob))).await;
    for uri in [
        "secret://plan",
        "secret://plan#top",
        "secret://plan?x",
        "secret://pl%61n",
        "files://private/a",
        "files://%70rivate/a",
    ] {
        let read = server
            .modern("resources/read", uri, json!({ "uri": uri }))
            .await;
        assert_refused(&read, "admin");
    }
    let uri = "secret://other";
    let read = server
        .modern("resources/read", uri, json!({ "uri": uri }))
        .await;
    assert_eq!(read["result"]["contents"][0]["text"], "anything other");
    let session = server.handshake().await;
    let params = json!({ "uri": "secret://plan", "_meta": { "fastmcp": { "version": "9" } } });
    let read = server.ask_in(&session, "resources/read", params).await;
    assert_refused(&read, "admin");
}

#[tokio::test]
async fn what_is_disabled_is_not_found_by_a_template_of_others() {
    let server = overlapping().build().unwrap();
    let client = Client::connect(&server).await.unwrap();
    client.read_resource("secret://plan").await.unwrap();
    let handle = server.handle();
    handle.disable_resource("secret://plan").await.unwrap();
    handle
        .disable_resource("files://private/{name}")
        .await
        .unwrap();
    for uri in ["secret://plan", "secret://pl%61n", "files://private/a"] {
        client.read_resource(uri).await.unwrap_err();
    }
    client.read_resource("secret://other").await.unwrap();
    handle.enable_resource("secret://plan").await.unwrap();
    client.read_resource("secret://plan").await.unwrap();
}

#[tool(task, scopes("admin"))]
async fn long_work() -> &'static str {
    std::future::pending().await
}

#[tokio::test]
async fn a_task_is_for_callers_with_the_scopes_of_its_tool() {
    let server = Server::builder("Tasks").tool(long_work).build().unwrap();
    let serve = async |scopes: &[&str]| {
        let ada = Principal::user("https://id.example", "ada");
        let ada = ada.with_scopes(scopes.iter().copied());
        let router = server.clone().into_router().unwrap();
        Served::new(router.layer(Extension(ada))).await
    };
    let (admin, other) = (serve(&["admin"]).await, serve(&[]).await);
    let tasks = json!({ "extensions": { "io.modelcontextprotocol/tasks": {} } });
    let ask = async |server: &Served, method: &str, name: &str, params: Value| {
        let mut request = server.modern_request(method, name, params).build().unwrap();
        let bytes = request.body().unwrap().as_bytes().unwrap();
        let mut body: Value = serde_json::from_slice(bytes).unwrap();
        body["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] = tasks.clone();
        *request.body_mut() = Some(body.to_string().into());
        request.headers_mut().remove("content-length");
        let response = reqwest::Client::new().execute(request).await.unwrap();
        response.json::<Value>().await.unwrap()
    };
    let params = json!({ "name": "long_work", "arguments": {} });
    let made = ask(&admin, "tools/call", "long_work", params).await;
    let id = made["result"]["taskId"].as_str().unwrap();
    for (method, extra) in [
        ("tasks/get", json!({})),
        ("tasks/update", json!({ "inputResponses": {} })),
        ("tasks/cancel", json!({})),
    ] {
        let mut params = json!({ "taskId": id });
        params.as_object_mut().unwrap().extend(object(extra));
        let refused = ask(&other, method, id, params).await;
        assert_refused(&refused, "admin");
    }
    let shown = ask(&admin, "tasks/get", id, json!({ "taskId": id })).await;
    assert_eq!(shown["result"]["status"], "working", "{shown}");
}

#[tokio::test]
async fn a_list_that_differs_by_caller_is_not_for_a_shared_cache() {
    let cache = |server: ServerBuilder| {
        let minute = std::time::Duration::from_secs(60);
        server.list_cache(minute, mcp_server::types::CacheScope::Public)
    };
    for (server, scope) in [
        (Server::builder("Open").tool(status), "public"),
        (
            Server::builder("Scoped").tool(status).resource(plan),
            "private",
        ),
    ] {
        let router = cache(server).build().unwrap().into_router().unwrap();
        let list = Served::new(router)
            .await
            .modern("tools/list", "", json!({}))
            .await;
        assert_eq!(list["result"]["cacheScope"], scope);
    }
}

#[tokio::test]
async fn a_scope_is_one_scope() {
    use mcp_server::ToolExt as _;
    for scope in ["read write", "", "a\"b", "ä"] {
        let tool = status.map_definition(move |definition| definition.with_scopes([scope]));
        let error = Server::builder("Wrong").tool(tool).build().unwrap_err();
        assert!(
            error.to_string().contains("give each scope by itself"),
            "{error}"
        );
    }
}
