//! Who sees and uses what, by middleware; and the tools that middleware brings along.

use mcp_server::axum::Extension;
use mcp_server::middleware::{Authorization, ToolInjection};
use mcp_server::{Client, Principal, Server, ServerBuilder, prompt, resource, tool};
use serde_json::{Value, json};

use crate::http_client::Served;

#[tool]
async fn open() -> &'static str {
    "open"
}

#[tool(tags("admin"), scopes("tools"))]
async fn wipe() -> &'static str {
    "wiped"
}

#[resource("secret://{id}", tags("admin"))]
async fn secret(id: String) -> String {
    id
}

#[resource("secret://plan", tags("staff"))]
async fn plan() -> &'static str {
    "plan"
}

#[prompt(tags("admin"))]
async fn plot() -> &'static str {
    "plot"
}

fn builder() -> ServerBuilder {
    let authorization = Authorization::new()
        .require_scopes(["use"])
        .restrict_tag("admin", ["admin"])
        .check(|access| {
            let is_staff = |it: &Principal| it.issuer == "https://staff.example";
            !access.tags.contains("staff") || access.principal.is_some_and(is_staff)
        });
    Server::builder("Guarded")
        .middleware(authorization)
        .tool(open)
        .tool(wipe)
        .resource(secret)
        .resource(plan)
        .prompt(plot)
}

async fn serve(issuer: &str, scopes: &[&str]) -> Served {
    let user = Principal::user(issuer, "ada").with_scopes(scopes.iter().copied());
    let router = builder().build().unwrap().into_router().unwrap();
    Served::new(router.layer(Extension(user))).await
}

/// Returns the names in all lists.
async fn shown(served: &Served) -> Vec<String> {
    let mut shown = Vec::new();
    for (method, list, name) in [
        ("tools/list", "tools", "name"),
        ("resources/list", "resources", "uri"),
        (
            "resources/templates/list",
            "resourceTemplates",
            "uriTemplate",
        ),
        ("prompts/list", "prompts", "name"),
    ] {
        let answer = served.modern(method, "", json!({})).await;
        let items = answer["result"][list].as_array().unwrap();
        shown.extend(
            items
                .iter()
                .map(|item| item[name].as_str().unwrap().to_owned()),
        );
    }
    shown
}

/// Returns how the uses of all components are answered: with the scopes that are needed, the text of
/// another refusal, or nothing.
async fn refusals(served: &Served) -> Vec<String> {
    let mut refusals = Vec::new();
    for (method, name, params) in [
        (
            "tools/call",
            "open",
            json!({ "name": "open", "arguments": {} }),
        ),
        (
            "tools/call",
            "wipe",
            json!({ "name": "wipe", "arguments": {} }),
        ),
        (
            "resources/read",
            "secret://a",
            json!({ "uri": "secret://a" }),
        ),
        (
            "resources/read",
            "secret://plan",
            json!({ "uri": "secret://plan" }),
        ),
        ("prompts/get", "plot", json!({ "name": "plot" })),
    ] {
        let answer = served.modern(method, name, params).await;
        let error = &answer["error"];
        if !error.is_null() {
            assert_eq!(error["code"], -32003, "{answer}");
        }
        let scope = error["data"]["scope"].as_str();
        refusals.push(
            scope
                .or(error["message"].as_str())
                .unwrap_or_default()
                .to_owned(),
        );
    }
    refusals
}

#[tokio::test]
async fn callers_see_and_use_what_they_have_the_scopes_for() {
    let nobody = serve("https://id.example", &[]).await;
    assert_eq!(shown(&nobody).await, [""; 0]);
    let all = ["use", "admin tools use", "admin use", "use", "admin use"];
    assert_eq!(refusals(&nobody).await, all);

    let user = serve("https://id.example", &["use"]).await;
    assert_eq!(shown(&user).await, ["open"]);
    let foreign = "'secret://plan' is not for this caller";
    let some = ["", "admin tools use", "admin use", foreign, "admin use"];
    assert_eq!(refusals(&user).await, some);

    let staff = serve("https://staff.example", &["use", "admin", "tools"]).await;
    let names = ["open", "wipe", "secret://plan", "secret://{id}", "plot"];
    assert_eq!(shown(&staff).await, names);
    assert_eq!(refusals(&staff).await, [""; 5]);
}

#[tokio::test]
async fn the_one_local_user_may_use_everything() {
    let client = Client::connect(&builder().build().unwrap()).await.unwrap();
    assert_eq!(client.list_tools().await.unwrap().len(), 2);
    let said: String = client.call_tool("wipe", ()).await.unwrap();
    assert_eq!(said, "wiped");
    client.read_resource("secret://plan").await.unwrap();
}

#[tokio::test]
async fn what_a_caller_may_not_read_it_cannot_subscribe_to() {
    let user = serve("https://id.example", &["use"]).await;
    let session = user.handshake().await;
    for (uri, code) in [("secret://plan", -32003), ("secret://a", -32003)] {
        let answer = user
            .ask_in(&session, "resources/subscribe", json!({ "uri": uri }))
            .await;
        assert_eq!(answer["error"]["code"], code, "{answer}");
    }
}

#[tool(name = "open")]
async fn other_open(n: u8) -> u8 {
    n + 1
}

#[tokio::test]
async fn injected_tools_come_first_and_are_checked() {
    let injection = ToolInjection::new().tool(other_open).unwrap();
    let server = Server::builder("Injected").middleware(injection);
    let server = server.tool(open).tool(wipe).build().unwrap();
    let client = Client::connect(&server).await.unwrap();
    let tools = client.list_tools().await.unwrap();
    let names: Vec<_> = tools.iter().map(|tool| &*tool.name).collect();
    assert_eq!(names, ["open", "wipe"]);
    assert!(tools[0].input_schema.contains_key("properties"));
    let sum: u8 = client.call_tool("open", json!({ "n": 1 })).await.unwrap();
    assert_eq!(sum, 2);
    let wrong = client.call_tool_result("open", json!({ "n": "x" })).await;
    let text = match wrong {
        Ok(result) => json!(result).to_string(),
        Err(error) => error.to_string(),
    };
    assert!(text.contains('n'), "{text}");
    let said: String = client.call_tool("wipe", Value::Null).await.unwrap();
    assert_eq!(said, "wiped");
}
