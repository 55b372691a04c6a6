//! A lamp that tells of changes by itself, written from what is known of other programs: without any I/O, so that it is heard by
//! the machine alone as well as over a socket.
#![allow(dead_code, reason = "each of its tests uses some of it")]

use std::collections::BTreeMap;

use accord_miio::core::packet::{HEADER, Head, Token, open, seal};
use serde_json::{Value, json};

pub const TOKEN: [u8; 16] = [0x5a; 16];
pub const DID: u64 = 123_456;

pub struct Gadget {
    /// Its clock, in seconds.
    pub stamp: u32,
    /// Its properties, of service 2.
    pub values: BTreeMap<u64, Value>,
    /// It knows what a subscription is.
    pub offers: bool,
    /// With which code it answers one.
    pub code: i64,
    /// It answers nothing at all.
    pub is_off: bool,
    /// Which hub it tells of changes, and the time that came with that.
    pub tells: Option<(u64, u32)>,
    /// Greetings that it heard, each with the hub's number if there was one.
    pub greetings: Vec<Option<u64>>,
    /// Methods that it was asked for, with what was asked.
    pub asked: Vec<(String, Value)>,
    /// Numbers of what it told that were answered.
    pub answered: Vec<u64>,
    next: u64,
}

impl Gadget {
    pub fn new() -> Self {
        Self {
            stamp: 1000,
            values: BTreeMap::from([(1, json!(true)), (2, json!(50)), (3, json!(4000))]),
            offers: true,
            code: 0,
            is_off: false,
            tells: None,
            greetings: Vec::new(),
            asked: Vec::new(),
            answered: Vec::new(),
            next: 700,
        }
    }

    pub fn sealed(&self, text: &str) -> Vec<u8> {
        seal(&Token::new(TOKEN), Head { did: DID, stamp: self.stamp }, text.as_bytes()).unwrap()
    }

    /// Its answer to a datagram.
    pub fn hears(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        if self.is_off {
            return None;
        }
        if bytes.len() == HEADER {
            return Some(self.greeted(bytes));
        }
        let (head, plain) = open(&Token::new(TOKEN), bytes).ok()?;
        assert_eq!(head.did, DID);
        assert!(head.stamp.abs_diff(self.stamp) <= 3, "the clock is {}, not {}", self.stamp, head.stamp);
        let said: Value = serde_json::from_slice(&plain).unwrap();
        let Some(method) = said["method"].as_str() else {
            assert_eq!(said["result"], json!({"code": 0}));
            self.answered.push(said["id"].as_u64().unwrap());
            return None;
        };
        self.asked.push((method.to_owned(), said["params"].clone()));
        let result = self.asked_for(method, &said["params"]);
        Some(self.sealed(&json!({"id": said["id"], "result": result}).to_string()))
    }

    fn greeted(&mut self, bytes: &[u8]) -> Vec<u8> {
        let hub = (&bytes[16..20] == b"MDID").then(|| u64::from_be_bytes(bytes[20..28].try_into().unwrap()));
        assert!(bytes[..16].iter().skip(4).all(|byte| *byte == 0xff));
        self.greetings.push(hub);
        let mut answer = vec![0; HEADER];
        answer[..4].copy_from_slice(&[0x21, 0x31, 0, 32]);
        answer[4..12].copy_from_slice(&DID.to_be_bytes());
        answer[12..16].copy_from_slice(&self.stamp.to_be_bytes());
        if let Some(hub) = hub.filter(|_| self.offers) {
            let time = self.tells.filter(|(of, _)| *of == hub).map_or(0, |(_, time)| time);
            answer[16..20].copy_from_slice(b"MSUB");
            answer[20..24].copy_from_slice(&time.to_be_bytes());
            answer[24..29].copy_from_slice(b"PUB\x01\xfe");
        }
        answer
    }

    fn asked_for(&mut self, method: &str, params: &Value) -> Value {
        let piid = |item: &Value| item["piid"].as_u64().unwrap();
        let items = || params.as_array().into_iter().flatten();
        match method {
            "miIO.info" => json!({"model": "accord.light.lamp1", "mac": "A4:77:33:00:00:01"}),
            "get_properties" => {
                let one = |item: &Value| match self.values.get(&piid(item)) {
                    Some(value) => json!({"siid": 2, "piid": item["piid"], "code": 0, "value": value}),
                    None => json!({"siid": 2, "piid": item["piid"], "code": -4004}),
                };
                items().map(one).collect()
            }
            "set_properties" => {
                for item in items() {
                    self.values.insert(piid(item), item["value"].clone());
                }
                json!([{"siid": 2, "code": 0}])
            }
            "miIO.sub" | "miIO.unsub" => {
                assert_eq!((&params["version"], &params["sub_method"]), (&json!("2.0"), &json!(".")));
                if self.code == 0 {
                    let hub = params["did"].as_str().unwrap().parse().unwrap();
                    let time = u32::try_from(params["update_ts"].as_u64().unwrap()).unwrap();
                    self.tells = (method == "miIO.sub").then_some((hub, time));
                }
                json!({"code": self.code})
            }
            _ => json!(["ok"]),
        }
    }

    /// It becomes otherwise by itself. What it tells, if somebody wants to know.
    pub fn becomes(&mut self, piid: u64, value: Value) -> Option<Vec<u8>> {
        self.values.insert(piid, value.clone());
        self.tells?;
        let item = json!({"did": DID.to_string(), "siid": 2, "piid": piid, "value": value});
        Some(self.says("properties_changed", &json!([item])))
    }

    /// It says something by itself.
    pub fn says(&mut self, method: &str, params: &Value) -> Vec<u8> {
        self.next += 1;
        self.sealed(&json!({"id": self.next, "method": method, "params": params}).to_string())
    }

    /// How often it was asked that since the last time.
    pub fn times(&mut self, wanted: &str) -> usize {
        std::mem::take(&mut self.asked).iter().filter(|(method, _)| method == wanted).count()
    }
}
