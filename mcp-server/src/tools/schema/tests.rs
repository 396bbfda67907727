//! What is refused, what is taken for something else, and what is said of it.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use schemars::JsonSchema;
use serde_json::json;

use super::*;
use crate::private::input_schema;
use crate::types::object;

/// How a thing is sent.
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(dead_code, reason = "only the schema is of interest")]
enum Speed {
    Fast,
    Slow,
}

#[derive(JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
#[expect(dead_code, reason = "only the schema is of interest")]
enum Shape {
    Circle { radius: f64 },
    Square { side: f64 },
}

#[derive(JsonSchema)]
#[expect(dead_code, reason = "only the schema is of interest")]
struct Address {
    #[schemars(regex(pattern = "^[0-9]{5}$"))]
    zip: String,
    floor: Option<u8>,
}

#[derive(JsonSchema)]
#[expect(dead_code, reason = "only the schema is of interest")]
struct Order {
    #[schemars(range(min = 1, max = 9))]
    count: i64,
    #[schemars(length(min = 2, max = 3))]
    name: Option<String>,
    speed: Option<Speed>,
    shape: Option<Shape>,
    address: Option<Address>,
    numbers: Option<Vec<i64>>,
    express: Option<bool>,
    weight: Option<f64>,
}

fn schema<T: JsonSchema>(strict: bool) -> Schema {
    Schema::compile(&input_schema::<T>(), strict).unwrap()
}

fn checked(arguments: Value) -> Result<Value, String> {
    let checked = schema::<Order>(false).check(object(arguments));
    checked.map(Value::Object)
}

fn complaint(arguments: Value) -> String {
    checked(arguments).unwrap_err()
}

#[test]
fn what_fits_stays_as_it_is() {
    let arguments = json!({
        "count": 1,
        "name": "10",
        "speed": "fast",
        "shape": {"kind": "circle", "radius": 1},
        "address": {"zip": "12345", "floor": null},
        "numbers": [1],
        "express": true,
        "weight": 0.5,
    });
    assert_eq!(checked(arguments.clone()), Ok(arguments));
}

#[test]
fn all_problems_are_told_and_no_value() {
    let complaint = complaint(json!({
        "name": "hunter2",
        "speed": "secret",
        "address": {"zip": "secret", "floor": 256, "street": "secret"},
        "numbers": [1, "secret", {}],
        "express": "secret",
        "weight": ["secret"],
        "colour": "secret",
    }));
    let expected = [
        "argument `address.floor`: it is greater than the maximum of 255",
        "argument `address.zip`: it does not match \"^[0-9]{5}$\"",
        "missing argument `count` (integer)",
        "argument `express`: expected boolean or null, got string",
        "argument `name`: it is longer than 3 characters",
        "argument `numbers[1]`: expected integer, got string",
        "argument `numbers[2]`: expected integer, got object",
        "argument `speed`: expected \"fast\" or \"slow\"",
        "argument `weight`: expected number or null, got array",
        "unknown argument `colour`; known: address, count, express, name, numbers, shape, speed, \
         weight",
    ];
    assert_eq!(complaint.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn the_form_that_was_meant_is_the_one_complained_about() {
    for (shape, line) in [
        (
            json!({"kind": "circle"}),
            "argument `shape`: missing member `radius`",
        ),
        (
            json!({"kind": "square", "side": []}),
            "argument `shape.side`: expected number, got array",
        ),
        (
            json!({"kind": "cube"}),
            "argument `shape`: it has none of the forms that it may have",
        ),
        (json!("x"), "argument `shape`: expected object, got string"),
    ] {
        assert_eq!(complaint(json!({"count": 1, "shape": shape})), line);
    }
}

#[test]
fn ranges_hold_for_what_was_text() {
    assert_eq!(
        complaint(json!({"count": "10"})),
        "argument `count`: it is greater than the maximum of 9"
    );
}

#[test]
fn a_value_may_be_one_of_another_type_where_the_schema_asks_for_it() {
    let arguments = json!({
        "count": "7",
        "name": "42",
        "address": "{\"zip\": \"12345\", \"floor\": \"3\"}",
        "numbers": "[\"1\", 2]",
        "express": "1",
        "weight": "0.5",
    });
    assert_eq!(
        checked(arguments.clone()),
        Ok(json!({
            "count": 7,
            "name": "42",
            "address": {"zip": "12345", "floor": 3},
            "numbers": [1, 2],
            "express": true,
            "weight": 0.5,
        }))
    );
    let complaint = schema::<Order>(true).check(object(arguments)).unwrap_err();
    assert_eq!(complaint.lines().count(), 5, "{complaint}");
}

#[test]
fn a_long_complaint_is_cut() {
    let many: Vec<_> = (0..50).map(|_| json!("x")).collect();
    let complaint = complaint(json!({"count": 1, "numbers": many, "n".repeat(1000): 1}));
    assert_eq!(complaint.lines().count(), 11, "{complaint}");
    assert!(complaint.ends_with("\nand 41 more"), "{complaint}");
    let names: JsonObject = (0..1000).map(|n| (format!("name{n}"), json!(1))).collect();
    let complaint = schema::<Order>(false).check(names).unwrap_err();
    assert!(complaint.chars().count() < 300, "{complaint}");
    let complaint = schema::<Order>(false).check(object(json!({"count": 1, "a\nb": 1})));
    assert!(
        complaint
            .unwrap_err()
            .starts_with(r"unknown argument `a\nb`; known: ")
    );
}

#[test]
fn what_is_too_much_to_look_at_is_refused_as_a_whole() {
    let many: Vec<_> = (0..100_000).map(|_| json!("x")).collect();
    let complaint = complaint(json!({"count": 1, "numbers": many}));
    assert_eq!(complaint, problems::TOO_HEAVY);
}

#[test]
fn a_broken_schema_is_an_error() {
    let compile = |schema| Schema::compile(&object(schema), false).err().unwrap();
    for schema in [
        json!({"type": "objekt"}),
        json!({"$ref": "https://example.com/schema.json"}),
        json!({"$ref": "#/$defs/Missing"}),
        json!({"properties": {"a": {"pattern": "(?=a)"}}}),
    ] {
        let reason = compile(schema);
        assert!(
            reason.starts_with("the input schema is invalid: "),
            "{reason}"
        );
    }
}

/// Arguments that look like those of an order, more or less.
fn any_arguments() -> impl Strategy<Value = JsonObject> {
    let names =
        "count|name|speed|shape|address|numbers|express|weight|zip|floor|kind|radius|[a-z]*";
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "circle|fast|[0-9]{1,5}|true|\\{\"zip\":1\\}|\\[\"[0-9]\"\\]|.*".prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(3, 20, 5, move |value| {
        let members = btree_map(names, value.clone(), 0..5);
        let object = members.prop_map(|members| Value::Object(members.into_iter().collect()));
        prop_oneof![vec(value, 0..5).prop_map(Value::from), object]
    });
    btree_map(names, value, 0..6).prop_map(|members| members.into_iter().collect())
}

proptest! {
    #[test]
    fn arguments_fit_or_are_complained_about_in_short(arguments in any_arguments()) {
        let schema = schema::<Order>(false);
        match schema.check(arguments) {
            Ok(arguments) => {
                let arguments = Value::Object(arguments);
                prop_assert!(schema.validator.is_valid(&arguments), "{arguments}");
            }
            Err(complaint) => {
                prop_assert!((1..=11).contains(&complaint.lines().count()), "{complaint}");
                prop_assert!(complaint.chars().count() < 3000, "{complaint}");
            }
        }
    }
}
