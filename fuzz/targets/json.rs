//! The JSON reader, held against serde_json: what it takes is JSON, and means the same.
#![no_main]

use identity_core::wire::json::{self, MAX_DEPTH, Value};
use libfuzzer_sys::fuzz_target;
use serde_json::Value as Other;

fuzz_target!(|octets: &[u8]| {
    let other = serde_json::from_slice::<serde_json::Map<String, Other>>(octets);
    let Ok(object) = json::object("document", octets) else {
        if let Ok(other) = other {
            let deep = depth(&Other::Object(other.clone()), 0);
            assert!(deep >= MAX_DEPTH, "sound JSON is refused: {other:?}");
        }
        return;
    };
    let syntax = serde_json::from_slice::<serde::de::IgnoredAny>(octets);
    assert!(syntax.is_ok(), "{:?} is taken", String::from_utf8_lossy(octets));
    let _ = object.unique("document");
    let Ok(other) = other else { return };
    for (name, value) in object.members() {
        let name: Vec<u8> = name.octets().collect();
        let name = String::from_utf8(name).expect("decoded text is UTF-8");
        let twice = object.members().filter(|(other, _)| other.is(&name)).count() > 1;
        if !twice {
            same(value, &other[&name]);
        }
    }
});

fn same(value: Value<'_>, other: &Other) {
    match (value, other) {
        (Value::Text(text), Other::String(other)) => {
            assert!(text.is(other));
            let mut room = vec![0; other.len()];
            assert_eq!(text.copy("text", &mut room).expect("it fits"), other);
            assert!(other.is_empty() || text.copy("text", &mut room[1..]).is_err());
        }
        (Value::Number(number), Other::Number(other)) => {
            if let Some(other) = other.as_u64() {
                assert_eq!(number.whole(), Some(other));
            }
        }
        (Value::Array(array), Other::Array(other)) => {
            assert_eq!(array.values().count(), other.len());
            array.values().zip(other).for_each(|(value, other)| same(value, other));
        }
        (Value::Object(_), Other::Object(_)) | (Value::Null, Other::Null) => {}
        (Value::Bool(value), Other::Bool(other)) => assert_eq!(value, *other),
        _ => panic!("another type than {other:?}"),
    }
}

fn depth(value: &Other, above: usize) -> usize {
    match value {
        Other::Array(values) => values.iter().map(|value| depth(value, above + 1)).max().unwrap_or(above + 1),
        Other::Object(members) => members.values().map(|value| depth(value, above + 1)).max().unwrap_or(above + 1),
        _ => above,
    }
}
