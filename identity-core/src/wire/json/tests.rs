use super::*;
use proptest::prelude::*;
use std::string::String;
use std::vec::Vec;
use std::{format, vec};

fn read(document: &str) -> Object<'_> {
    object("test", document.as_bytes()).unwrap()
}

fn problem(document: &[u8]) -> &'static str {
    match object("test", document) {
        Err(Error::Malformed { what: "test", problem }) => problem,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("accepted: {:?}", String::from_utf8_lossy(document)),
    }
}

/// The document as a member's value.
fn inside(value: &[u8]) -> Vec<u8> {
    [br#"{"a":"#, value, b"}"].concat()
}

#[test]
fn members_of_every_kind_are_found_among_unknown_ones() {
    let document = read(
        " {\"x\":{\"token\":[1,{\"token\":\"no\"}]} ,\r\n\t\"token\":\"yes\",\"n\":7,\"t\":true,\"f\":false,\
         \"z\":null,\"o\":{\"i\":1},\"l\":[\"a\",2,\"b\",[\"c\"]],\"e\":[],\"m\":{ }} ",
    );
    assert!(document.text("token").unwrap().unwrap().is("yes"));
    assert_eq!(document.whole("n"), Ok(Some(7)));
    assert_eq!((document.boolean("t"), document.boolean("f")), (Ok(Some(true)), Ok(Some(false))));
    assert!(document.text("z").unwrap().is_none() && document.text("absent").unwrap().is_none());
    assert!(matches!(document.get("z"), Ok(Some(Value::Null))));
    assert_eq!(document.object("o").unwrap().unwrap().whole("i"), Ok(Some(1)));
    let list = document.array("l").unwrap().unwrap();
    assert_eq!(list.values().count(), 4);
    assert!(list.texts().zip(["a", "b"]).all(|(text, wanted)| text.is(wanted)));
    assert_eq!(document.array("e").unwrap().unwrap().values().count(), 0);
    assert_eq!(document.object("m").unwrap().unwrap().members().count(), 0);
    assert_eq!(document.members().count(), 10);
    document.unique("test").unwrap();
}

#[test]
fn a_member_of_another_type_is_named() {
    let document = read(r#"{"n":"7","t":1,"b":-1,"o":[],"l":{}}"#);
    let wrong = |what, problem| Some(Error::Malformed { what, problem });
    assert_eq!(document.whole("n").err(), wrong("n", "not a number from 0 to 2^64 - 1"));
    assert_eq!(document.whole("b").err(), wrong("b", "not a number from 0 to 2^64 - 1"));
    assert_eq!(document.text("t").err(), wrong("t", "not a string"));
    assert_eq!(document.boolean("t").err(), wrong("t", "neither true nor false"));
    assert_eq!(document.object("o").err(), wrong("o", "not an object"));
    assert_eq!(document.array("l").err(), wrong("l", "not an array"));
}

#[test]
fn duplicates_are_refused_however_they_are_spelt() {
    let document = read(r#"{"alg":"ES256","b":{"c":1,"c":2},"\u0061lg":"none"}"#);
    assert!(document.get("alg").is_err() && document.text("alg").is_err());
    assert!(document.object("b").is_ok());
    assert!(matches!(document.unique("header"), Err(Error::Malformed { what: "header", .. })));
    assert!(document.object("b").unwrap().unwrap().whole("c").is_err());
    let many = |count: usize| {
        let members: Vec<_> = (0..count).map(|n| format!("\"{n}\":0")).collect();
        read(format!("{{{}}}", members.join(",")).leak()).unique("test")
    };
    assert_eq!(many(MAX_UNIQUE), Ok(()));
    assert_eq!(many(MAX_UNIQUE + 1), Err(Error::Malformed { what: "test", problem: "more than 64 members" }));
}

#[test]
fn what_is_not_json_is_refused_at_the_top_and_inside() {
    for bad in [
        "",
        " ",
        "[1,]",
        "[,]",
        "[,1]",
        "[1 2]",
        "[1}",
        "[",
        "[1",
        "[1,",
        "[\"",
        "[\"a",
        "{",
        "{\"a",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,",
        "{\"a\":1,}",
        "{,}",
        "{\"a\" 1}",
        "{\"a\":1 \"b\":2}",
        "{a:1}",
        "{'a':1}",
        "{1:2}",
        "{\"a\":1]",
        "{\"a\":}",
        "{\"a\"::1}",
        "{\"a\":1}{}",
        "{} x",
        "{},",
        "}",
        "]",
        ":",
        "nul",
        "nulll",
        "tru",
        "True",
        "NaN",
        "Infinity",
        "01",
        "-",
        "-01",
        "--1",
        "+1",
        "1.",
        ".5",
        "1.e1",
        "1e",
        "1e+",
        "1e1.5",
        "0x1",
        "1_0",
        "1 ,",
        "\"\t\"",
        "\"\n\"",
        "\"\u{0}\"",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\u12",
        "\"\\",
        "\"\\\"",
        "'a'",
        "//\n1",
        "/**/1",
        "\"\\ud800\"",
        "\"\\ud800x\"",
        "\"\\ud800\\n\"",
        "\"\\ud800\\u0041\"",
        "\"\\udc00\"",
        "\"\\udc00\\ud800\"",
        "\u{feff}1",
        "\u{a0}1",
        "\u{c}1",
        "1\u{b}",
        "1\0",
    ] {
        problem(bad.as_bytes());
        problem(&inside(bad.as_bytes()));
    }
    for bad in [&b"\"\xff\""[..], b"\"\xc0\x80\"", b"\"\xed\xa0\x80\"", b"\"\xf4\x90\x80\x80\"", b"\xff"] {
        assert_eq!(problem(&inside(bad)), "not JSON: not UTF-8");
    }
    for other in ["1", "\"a\"", "null", "[]", " [{}] "] {
        assert_eq!(problem(other.as_bytes()), "JSON, but not an object");
    }
    assert!(problem(b"<!DOCTYPE html>").starts_with("markup"));
    assert!(problem(br#"{"a":"b","c"#).contains("cut short"));
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    let mixed = |depth: usize| inside(format!("{}{}", "[".repeat(depth), "]".repeat(depth)).as_bytes());
    read(&nested(MAX_DEPTH));
    assert!(object("test", &mixed(MAX_DEPTH - 1)).is_ok());
    assert!(problem(nested(MAX_DEPTH + 1).as_bytes()).contains("16 deep"));
    assert!(problem(&mixed(MAX_DEPTH)).contains("16 deep"));
    assert!(problem("{\"a\":".repeat(100_000).as_bytes()).contains("16 deep"));
}

#[test]
fn a_long_document_with_unknown_nested_members() {
    let filling = r#"{"x":{"y":[1.5e-7,"\"}]{",{"z":[[[]]]}],"access_token":null}},"#.repeat(500);
    let document = format!(r#"{{"unknown":[{filling}0],"access_token":"t"}}"#);
    assert!(document.len() > 30_000);
    assert!(read(&document).text("access_token").unwrap().unwrap().is("t"));
}

#[test]
fn escapes() {
    let document = read(r#"{"t":"a\"\\\/\b\f\n\r\t\u00e9\u20AC\ud83d\ude00\u0000é","u":"plain é"}"#);
    let wanted = "a\"\\/\u{8}\u{c}\n\r\té€😀\0é";
    let text = document.text("t").unwrap().unwrap();
    assert!(text.is(wanted) && !text.is("a") && !text.is(&format!("{wanted}x")));
    assert_eq!(text.as_plain(), None);
    assert_eq!(text.copy("t", &mut [0; 64]), Ok(wanted));
    assert_eq!(text.copy("t", &mut [0; 3]), Err(Error::NoSpace { what: "t", wanted: wanted.len() }));
    assert_eq!(text.copy("t", &mut vec![0; wanted.len()]), Ok(wanted));
    let plain = document.text("u").unwrap().unwrap();
    assert_eq!(plain.as_plain(), Some("plain é"));
    assert!(plain.same(read(r#"{"t":"\u0070lain \u00e9"}"#).text("t").unwrap().unwrap()));
    assert!(!plain.same(text));
}

#[test]
fn words() {
    let document = read(r#"{"scope":" a  b:c\u0020d e"}"#);
    let words: Vec<Vec<u8>> = document.text("scope").unwrap().unwrap().words().map(|w| w.octets().collect()).collect();
    assert_eq!(words, [b"a".to_vec(), b"b:c d".to_vec(), b"e".to_vec()]);
    assert_eq!(Text(b"").words().count(), 0);
}

#[test]
fn numbers() {
    for (text, wanted) in [
        ("0", Some(0)),
        ("-0", Some(0)),
        ("-0.9", Some(0)),
        ("-1", None),
        ("-1e-1", Some(0)),
        ("1700000000", Some(1_700_000_000)),
        ("1700000000.999", Some(1_700_000_000)),
        ("1.7e9", Some(1_700_000_000)),
        ("17E+8", Some(1_700_000_000)),
        ("17000000000e-1", Some(1_700_000_000)),
        ("1.5", Some(1)),
        ("15e-2", Some(0)),
        ("0.000001e6", Some(1)),
        ("0e999999999999999999", Some(0)),
        ("1e-999999999999999999", Some(0)),
        ("1e999999999999999999", None),
        ("1e20", None),
        ("1e19", Some(10_000_000_000_000_000_000)),
        ("18446744073709551615", Some(u64::MAX)),
        ("18446744073709551616", None),
        ("99999999999999999999999999999999", None),
    ] {
        let document = format!(r#"{{"n":{text}}}"#);
        assert_eq!(read(&document).whole("n").ok().flatten(), wanted, "{text}");
    }
}

#[test]
fn what_is_written_is_read() {
    let mut room = [0; 400];
    let write = |out: &mut Writer<'_>| {
        out.open_object();
        out.text("te\"xt", "a\"\\\n\u{1f}\u{7f}/é😀");
        for (name, number) in [("zero", 0), ("ten", 10), ("max", u64::MAX)] {
            out.number(name, number);
        }
        out.object("empty");
        out.close_object();
        out.array("list");
        out.item("a");
        out.item_base64(&[0xfb, 0xff]);
        out.open_object();
        out.boolean("t", true);
        out.boolean("f", false);
        out.close_object();
        out.close_array();
        out.base64url("b", &[0xfb, 0xff]);
        out.close_object();
    };
    let mut out = Writer::new(&mut room);
    write(&mut out);
    let used = out.used();
    let written = core::str::from_utf8(out.finish("test").unwrap()).unwrap();
    assert_eq!(
        written,
        "{\"te\\\"xt\":\"a\\\"\\\\\\u000a\\u001f\u{7f}/é😀\",\"zero\":0,\"ten\":10,\"max\":18446744073709551615,\
         \"empty\":{},\"list\":[\"a\",\"+/8=\",{\"t\":true,\"f\":false}],\"b\":\"-_8\"}"
    );
    let document = read(written);
    assert!(document.text("te\"xt").unwrap().unwrap().is("a\"\\\n\u{1f}\u{7f}/é😀"));
    assert_eq!(document.whole("max"), Ok(Some(u64::MAX)));
    let mut short = vec![0; used - 1];
    let mut out = Writer::new(&mut short);
    write(&mut out);
    assert_eq!(out.finish("test"), Err(Error::NoSpace { what: "test", wanted: used }));
}

proptest! {
    #[test]
    fn any_text_survives_writing_and_reading(name in ".*", value in any::<String>()) {
        let mut room = [0; 4096];
        let mut out = Writer::new(&mut room);
        out.open_object();
        out.text(&name, &value);
        out.close_object();
        if let Ok(written) = out.finish("test") {
            let (read_name, read_value) = object("test", written).unwrap().members().next().unwrap();
            prop_assert!(read_name.is(&name));
            prop_assert!(matches!(read_value, Value::Text(text) if text.is(&value)));
        }
    }

    #[test]
    fn mutations_are_read_or_refused(at in 0usize..200, octet in any::<u8>(), cut in 0usize..200) {
        let mut document = br#"{"a":{"b":[1,-2.5e+3,"\u00e9\ud83d\ude00\n",true,null,{}]},"c":"d e","f":[[]],"g":1.7e9}"#.to_vec();
        let length = document.len();
        document[at % length] = octet;
        document.truncate(length - cut % length);
        if let Ok(document) = object("test", &document) {
            let _ = (document.whole("g"), document.unique("test"));
            for (name, value) in document.members() {
                let _ = name.copy("test", &mut [0; 8]);
                if let Value::Text(text) = value {
                    let _ = (text.words().count(), text.octets().count());
                }
            }
        }
    }
}
