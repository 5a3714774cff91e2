//! For any content of a ledger key, the script and the ledger return the same lease, soon and within bounds, and work
//! again afterwards.

use serde_json::{Value, json};

use super::*;
use crate::store::ledger::bounds::VERSION;

/// A mutation of one node of a ledger.
#[derive(Clone, Debug)]
enum Mutation {
    Replace(Value),
    Remove,
    Add(u64),
    /// So many entries more, like the first.
    Entries(usize),
}

fn mutations() -> impl Strategy<Value = Vec<(prop::sample::Index, Mutation)>> {
    let values = vec![
        json!(0),
        json!(1),
        json!(u32::MAX),
        json!(1_u64 << 32),
        json!(1_u64 << 53),
        json!(1_u64 << 54),
        json!(u64::MAX),
        json!(-1),
        json!(i64::MIN),
        json!(0.5),
        json!(1e300),
        json!(-1e300),
        json!(true),
        json!(false),
        json!("text"),
        json!("1e300"),
        json!("NaN"),
        json!("x".repeat(100_000)),
        json!([1]),
        json!([[[[[["deep"]]]]]]),
        json!({ "a": 1 }),
    ];
    let mutation = prop_oneof![
        4 => prop::sample::select(values).prop_map(Mutation::Replace),
        1 => Just(Mutation::Remove),
        // An hour, a day and a bit, ten years; in milliseconds.
        3 => prop::sample::select(vec![3_600_000, 90_000_000, 315_360_000_000]).prop_map(Mutation::Add),
        1 => prop::sample::select(vec![2, 70, 3_000, 20_000]).prop_map(Mutation::Entries),
    ];
    prop::collection::vec((any::<prop::sample::Index>(), mutation), 0..3)
}

/// The places of all nodes, but for the version, which the script has elsewhere.
fn places(value: &Value, place: &str, all: &mut Vec<String>) {
    if !place.is_empty() && place != "/version" {
        all.push(place.to_owned());
    }
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                places(value, &format!("{place}/{name}"), all);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                places(value, &format!("{place}/{index}"), all);
            }
        }
        _ => {}
    }
}

fn mutate(ledger: &mut Value, at: prop::sample::Index, mutation: &Mutation) {
    let mut all = Vec::new();
    places(ledger, "", &mut all);
    if all.is_empty() {
        return;
    }
    let place = &all[at.index(all.len())];
    let Some(node) = ledger.pointer_mut(place) else { return };
    match (mutation, node) {
        (Mutation::Replace(value), node) => *node = value.clone(),
        (Mutation::Add(more), node) => {
            if let Some(number) = node.as_u64() {
                *node = json!(number.saturating_add(*more));
            }
        }
        (Mutation::Entries(number), Value::Object(fields)) => {
            // MessagePack in the script has no null.
            let like = fields.values().find(|value| !value.is_null()).cloned();
            let like = like.unwrap_or_else(|| json!(7));
            fields.extend((0..*number).map(|index| (format!("x{index}"), like.clone())));
        }
        (Mutation::Entries(number), Value::Array(items)) => {
            items.extend((0..*number).map(|index| json!(format!("x{index}"))));
        }
        (Mutation::Remove, _) => {
            let (parent, name) = place.rsplit_once('/').unwrap();
            if let Some(Value::Object(fields)) = ledger.pointer_mut(parent) {
                fields.remove(name);
            }
        }
        (Mutation::Entries(_), _) => {}
    }
}

/// The same as the script keeps it: a set is a table there.
fn as_kept(ledger: &Value) -> Value {
    let mut kept = ledger.clone();
    if let Some(fields) = kept.as_object_mut() {
        fields.remove("version");
    }
    if let Some(Value::Array(returned)) = ledger.pointer("/recovery/returned_members")
        && returned.iter().all(Value::is_string)
    {
        let names = returned.iter().filter_map(Value::as_str);
        kept["recovery"]["returned_members"] =
            names.map(|name| (name.to_owned(), json!(true))).collect();
    }
    kept
}

/// Returns a script in which `HEAD` is what the value of a ledger begins with.
fn ledger_writer(script: &str) -> Script {
    Script::new(&script.replace("HEAD", &format!("'octowire-ledger:{VERSION}\\n'")))
}

const SOON: Duration = Duration::from_secs(20);
const DAY: u64 = 24 * 60 * 60 * 1_000;

#[test]
fn a_ledger_that_others_wrote_to_bounds_every_answer() {
    let clocked = ScriptWithClock::start();
    let write = ledger_writer(
        "return redis.call('SET', KEYS[1], HEAD .. cmsgpack.pack(cjson.decode(ARGV[1])))",
    );
    let (case, unreadable, slowest) = (Cell::new(0), Cell::new(0), Cell::new(Duration::ZERO));
    let timed = |key: &str, now, request: &QuotaRequest| {
        let start = Instant::now();
        let response = clocked.lease(key, now, request);
        slowest.set(slowest.get().max(start.elapsed()));
        assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
        response
    };
    let mut runner = TestRunner::new(Config::with_cases(600));
    let cases = (requests(), mutations(), requests());
    let result = runner.run(&cases, |(before, mutations, after)| {
        case.set(case.get() + 1);
        let key = format!("case{}", case.get());
        let (mut ledger, mut epoch, mut last) = (QuotaLedger::default(), None, 0);
        let mut prepare = |ledger: &mut QuotaLedger, now, mut request: QuotaRequest| {
            if request.epoch.as_deref() == Some("") {
                request.epoch.clone_from(&epoch);
            }
            let start = Instant::now();
            let lease = ledger.lease(now, &request);
            assert!(start.elapsed() < SOON);
            epoch = Some(lease.epoch.clone()).filter(|epoch| !epoch.is_empty());
            (request, lease)
        };
        for (now, request) in before.into_iter().take(8) {
            prepare(&mut ledger, now, request);
        }
        let mut json = serde_json::to_value(&ledger).unwrap();
        for (at, mutation) in &mutations {
            mutate(&mut json, *at, mutation);
        }
        let start = Instant::now();
        let read = QuotaLedger::read(&serde_json::to_vec(&json).unwrap());
        assert!(start.elapsed() < SOON);
        let kept = serde_json::to_string(&as_kept(&json)).unwrap();
        write.key(&key).arg(kept).invoke::<()>(&mut *clocked.connection.borrow_mut()).unwrap();
        let mut problem = read.is_err();
        unreadable.set(unreadable.get() + u32::from(problem));
        let mut ledger = read.unwrap_or_default();
        for (now, request) in after {
            last = now;
            let (request, expected) = prepare(&mut ledger, now, request);
            let (lease, told) = timed(&key, now, &request);
            prop_assert_eq!(&lease, &expected, "{:?} of {}", request, json);
            prop_assert_eq!(!told.is_empty(), std::mem::take(&mut problem), "{}", json);
            prop_assert_eq!(lease.clone().bounded(&request), lease, "{:?}", request);
        }
        // A request that is answered drops what lies too far ahead; one that was overtaken does not.
        let (settling, expected) = prepare(&mut ledger, last, joining("settling"));
        let (lease, _) = timed(&key, last, &settling);
        prop_assert_eq!(&lease, &expected, "{}", json);
        // After all that counts has expired, a new member gets its full request.
        let window = WindowRequest {
            limit: 100,
            length: 60_000,
            requested: 9,
            min_useful: 1,
            unspent: 0,
            bucket: 0,
        };
        let fresh = QuotaRequest {
            member: "fresh".to_owned(),
            serial: 1,
            join: Some(MemberJoin { members: 1, ..MemberJoin::default() }),
            queued: 9,
            max_concurrent: Some(100),
            windows: BTreeMap::from([("points".to_owned(), window)]),
            budgets: BTreeMap::from([(
                "core".to_owned(),
                PrimaryRequest { requested: 1, ..PrimaryRequest::default() },
            )]),
            owners: vec!["a".to_owned()],
            min_write_interval: 1_000,
            ..QuotaRequest::default()
        };
        let now = last + 25 * DAY / 24;
        let (fresh, expected) = prepare(&mut ledger, now, fresh);
        let (lease, _) = timed(&key, now, &fresh);
        prop_assert_eq!(&lease, &expected, "{}", json);
        prop_assert_eq!(lease.pause, None);
        prop_assert_eq!(lease.windows["points"].granted, 9, "{}", json);
        prop_assert_eq!(lease.budgets["core"].granted, 1, "{}", json);
        prop_assert_eq!((lease.slots, lease.owners["a"]), (9, 0), "{}", json);
        Ok(())
    });
    println!(
        "{} of {} unreadable, the slowest took {:?}",
        unreadable.get(),
        case.get(),
        slowest.get()
    );
    result.unwrap();
    assert!(unreadable.get() > 50, "some are not readable: {}", unreadable.get());
    assert!(case.get() - unreadable.get() > 50, "some are");
}

fn joining(member: &str) -> QuotaRequest {
    QuotaRequest {
        member: member.to_owned(),
        serial: 1,
        join: Some(MemberJoin { members: 1, ..MemberJoin::default() }),
        queued: 3,
        ..QuotaRequest::default()
    }
}

#[test]
fn an_invalid_ledger_is_replaced_by_an_empty_one() {
    let clocked = ScriptWithClock::start();
    let now = 1_790_000_000_000;
    let case = Cell::new(0);
    let mut runner = TestRunner::new(Config::with_cases(300));
    let bytes = (any::<bool>(), prop::collection::vec(any::<u8>(), 0..200));
    let result = runner.run(&bytes, |(named, mut bytes)| {
        case.set(case.get() + 1);
        let key = format!("case{}", case.get());
        if named {
            bytes.splice(0..0, format!("octowire-ledger:{VERSION}\n").into_bytes());
        }
        redis::cmd("SET").arg(&key).arg(bytes).exec(&mut *clocked.connection.borrow_mut()).unwrap();
        let (lease, problem) = clocked.lease(&key, now, &joining("a"));
        prop_assert_eq!((lease.slots, &*problem), (3, "not a ledger"));
        let (_, problem) = clocked.lease(&key, now, &joining("b"));
        prop_assert_eq!(problem, "");
        Ok(())
    });
    result.unwrap();
}

#[test]
fn a_ledger_over_its_size_limit_is_written_without_optional_data() {
    const MAX_BYTES: usize = 8 * 1024 * 1024;
    const NOW: u64 = 1_790_000_000_000;
    let clocked = ScriptWithClock::start();
    let write = ledger_writer(
        "local ledger, member = cjson.decode(ARGV[1]), cjson.decode(ARGV[2])
        ledger.members, ledger.owners = {}, {}
        for number = 1, ARGV[3] do ledger.members['m' .. number] = member end
        for number = 1, ARGV[4] do
          ledger.owners['owner' .. number .. string.rep('x', 490)] = ledger.time + 9000
        end
        redis.call('SET', KEYS[1], HEAD .. cmsgpack.pack(ledger))
        return redis.call('STRLEN', KEYS[1])",
    );
    let empty = json!({
        "time": NOW, "epoch": "e", "departed": 0, "windows": {}, "budgets": {},
        "silent_from": 0, "silent_until": 0, "silence_reported": false,
        "recovery":
            { "since": NOW, "outage_ms": 0, "expected_members": 0, "new_members": 0, "returned_members": {},
              "ledger_lost": false, "is_of_loss": false,
              "lost_at": 0, "lost_expected": 0, "lost_returned": 0, "slots": 0, "unreported": {} },
    });
    let plant = |member: &Value, members: usize, owners: usize| -> usize {
        let mut script = write.key("k");
        script.arg(empty.to_string()).arg(member.to_string()).arg(members).arg(owners);
        script.invoke(&mut *clocked.connection.borrow_mut()).unwrap()
    };
    // As many members as there is room for beside the owners.
    let fill = |member: &Value, owners: usize| -> usize {
        let (none, nine) = (plant(member, 0, owners), plant(member, 9, owners));
        let members = (MAX_BYTES - none) / ((nine - none) / 9 + 1);
        let size = plant(member, members, owners);
        assert!((MAX_BYTES - 40_000..=MAX_BYTES).contains(&size), "{size} with {members}");
        members
    };
    let size = || -> usize {
        redis::cmd("STRLEN").arg("k").query(&mut *clocked.connection.borrow_mut()).unwrap()
    };
    // A new member with a history of more than the room that is left.
    let new = |member: &str, owner: &str| {
        let spent: Vec<_> = (0..240).map(|age| (age * 250, 1)).collect();
        let window = WindowRequest {
            limit: 9_000,
            length: 60_000,
            requested: 9,
            min_useful: 1,
            unspent: 0,
            bucket: 0,
        };
        let names = (0..20).map(|window| format!("window {window}"));
        let windows: BTreeMap<_, _> = names.map(|name| (name, window.clone())).collect();
        let spent = windows.keys().map(|name| (name.clone(), spent.clone())).collect();
        let join = Some(MemberJoin { members: 1, spent, ..MemberJoin::default() });
        let owners = vec![owner.to_owned()];
        QuotaRequest { join, windows, owners, min_write_interval: 1_000, ..joining(member) }
    };
    let member = |allowance: &Value, last: &Value| {
        json!({
            "last_seen": NOW, "in_flight": 0, "slots": 0, "is_starved": false, "first_serial": 1, "serial": 1,
            "offline_allowance": allowance, "unanswered": {}, "last_changes": { "windows": last },
        })
    };
    let buckets: BTreeMap<_, _> = (0..240).map(|age| ((NOW / 250 - age).to_string(), 1)).collect();
    let change = json!({ "buckets": buckets, "returned_allowance": 0 });
    let long_history = member(&json!({}), &json!({ "a": change, "b": change, "c": change }));
    let names = (0..60).map(|name| (format!("{name}{}", "x".repeat(200)), 1));
    let many_windows = member(&json!(names.collect::<BTreeMap<_, _>>()), &json!({}));

    // The undo data of other members' last requests is dropped first.
    let members = fill(&long_history, 0);
    for number in 0..9 {
        let (lease, problem) = clocked.lease("k", NOW, &new(&format!("new{number}"), "octo"));
        let granted = lease.windows["window 0"].granted;
        assert_eq!((&*problem, granted > 0), ("", true), "{number}");
    }
    assert!(size() < MAX_BYTES / 4, "{}", size());
    let (lease, problem) = clocked.lease("k", NOW, &joining("m1"));
    assert_eq!((&*problem, lease.members as usize), ("", members + 9));

    // Then the times of writes.
    let members = fill(&many_windows, 9_999);
    let (lease, problem) = clocked.lease("k", NOW, &new("new", "octo"));
    assert_eq!((&*problem, lease.members as usize), ("", members + 1));
    assert!(size() < MAX_BYTES - 9_999 * 490, "{}", size());

    // If there is still no space, a new client does not become a member until others leave.
    let members = fill(&many_windows, 0);
    let before = size();
    assert_eq!(
        clocked.answer("k", NOW, &new("new", "octo")),
        (String::new(), "too large".to_owned())
    );
    assert_eq!(size(), before);
    let (lease, problem) = clocked.lease("k", NOW, &joining("m1"));
    assert_eq!((&*problem, lease.members as usize), ("", members));
    let (lease, problem) = clocked.lease("k", NOW + 10_000, &new("new", "octo"));
    assert_eq!((&*problem, lease.members), ("", 1));
}

#[tokio::test]
async fn a_ledger_of_a_newer_form_is_left_as_it_is_and_is_no_outage() {
    let server = RedisServer::start();
    let redis = RedisStore::connect(server.url()).await.unwrap();
    let newer = format!("octowire-ledger:{}\nof another client", VERSION + 1);
    server.ask(&["SET", "octowire:limits:x", &newer]);
    assert!(redis.lease("limits:x", &joining("a")).await.unwrap_err().is_unreadable_value());
    assert!(server.ask(&["GET", "octowire:limits:x"]).ends_with("of another client"));
    let left = server.ask(&["PTTL", "octowire:limits:x"]).parse::<i64>().unwrap();
    assert!((1..=7_200_000).contains(&left), "it ends: {left}");
}

/// Commands that create a key of each type, and invalid data of the right type.
const WRONG: [(&str, &[&str]); 8] = [
    ("a list", &["RPUSH", "KEY", "1"]),
    ("a hash", &["HSET", "KEY", "a", "nonsense", "b", "9223372036854775807", "c", "3"]),
    ("a set", &["SADD", "KEY", "1"]),
    ("a zset", &["ZADD", "KEY", "1", "a"]),
    ("a stream", &["XADD", "KEY", "*", "a", "1"]),
    ("garbage", &["SET", "KEY", "garbage"]),
    ("the largest number", &["SET", "KEY", "9223372036854775807"]),
    ("many bytes", &["SETRANGE", "KEY", "9000000", "x"]),
];

/// For a key of any type, each operation returns, repaired keys work, and nothing counts as an outage.
#[tokio::test]
async fn a_key_of_any_type_is_no_outage() {
    let server = RedisServer::start();
    let redis = RedisStore::connect(server.url()).await.unwrap();
    let me = || bytes("me");
    for (wrong, command) in WRONG {
        let is_text = command[0].starts_with("SET");
        let plant = || {
            server.ask(&["DEL", "octowire:k"]);
            let words =
                command.iter().map(|word| if *word == "KEY" { "octowire:k" } else { *word });
            server.ask(&words.collect::<Vec<_>>());
            assert_eq!(server.ask(&["EXISTS", "octowire:k"]), "1", "{wrong}");
        };
        plant();
        let found = redis.get("k").await.unwrap();
        assert_eq!(found.is_some(), is_text, "{wrong}");
        let within = redis.get_within("k", 8_000_000).await;
        let is_small = is_text && wrong != "many bytes";
        match within {
            Ok(value) => assert!(is_small && value == found, "{wrong}"),
            Err(error) => assert!(!is_small && error.is_unreadable_value(), "{wrong}: {error}"),
        }
        assert!(redis.sum("k").await.unwrap_err().is_unreadable_value(), "{wrong}");
        redis.counters("k").await.unwrap();
        // It may be a sum, which must not begin at zero because it was read.
        assert_eq!(server.ask(&["EXISTS", "octowire:k"]), "1", "it is left: {wrong}");
        let spent =
            redis.try_consume("k", 0, 9, LONG).await.map_err(|error| error.is_unreadable_value());
        assert_eq!(spent, Err(true), "{wrong}");
        plant();
        redis.put("beside", me(), LONG).await.unwrap();
        let keys = [("beside", 99), ("k", 8_000_000), ("missing", 99)];
        let many = redis.get_many(&keys).await.unwrap().into_iter();
        let found = many.map(|value| {
            value.map_or_else(
                |error| error.is_unreadable_value().then_some("unreadable"),
                |value| value.map(|_| "a value"),
            )
        });
        let is = if is_small { "a value" } else { "unreadable" };
        assert_eq!(found.collect::<Vec<_>>(), [Some("a value"), Some(is), None], "{wrong}");
        assert_eq!(server.ask(&["EXISTS", "octowire:k"]), "1", "it is left: {wrong}");
        plant();
        assert_eq!(redis.extend_if_equal("k", me(), LONG).await.ok(), Some(false), "{wrong}");
        assert_eq!(redis.remove_if_equal("k", me()).await.ok(), Some(false), "{wrong}");
        let claimed = redis.put_if_absent("k", me(), LONG).await.ok();
        assert_eq!(claimed, Some(!is_text), "text is a foreign claim: {wrong}");
        let left = server.ask(&["PTTL", "octowire:k"]).parse::<u64>().unwrap();
        assert!((1..=60_000).contains(&left), "each claim ends: {wrong}");
        plant();
        redis.put("k", me(), LONG).await.unwrap();
        assert_eq!(redis.remove_if_equal("k", me()).await.ok(), Some(true), "{wrong}");

        plant();
        assert_eq!(
            redis.increment("k", 1, LONG).await.map_err(|error| error.is_unreadable_value()),
            Err(true),
            "{wrong}"
        );
        let spent =
            redis.try_consume("k", 0, 9, LONG).await.map_err(|error| error.is_unreadable_value());
        assert_eq!(spent, Err(true), "{wrong}");
        assert_eq!(redis.repair_sum("k", 7, LONG).await.ok(), Some(7), "{wrong}");
        assert_eq!(redis.try_consume("k", 0, 8, LONG).await.ok(), Some((8, true)));
        assert_ne!(server.ask(&["PTTL", "octowire:k"]), "-1", "{wrong}");

        plant();
        let amounts = [("b".to_owned(), 2), ("c".to_owned(), 4)];
        assert_eq!(redis.increment_counters("k", &amounts, LONG).await.ok(), Some(true), "{wrong}");
        let held = redis.counters("k").await.unwrap();
        let is_hash = wrong == "a hash";
        // The numeric fields of a hash are kept.
        let c = if is_hash { 7 } else { 4 };
        let expected = BTreeMap::from([("b".to_owned(), 2), ("c".to_owned(), c)]);
        assert_eq!(held, expected, "{wrong}");
        plant();
        let held = redis.counters("k").await.unwrap();
        assert_eq!(
            held.into_iter().collect::<Vec<_>>(),
            match is_hash {
                true => vec![("c".to_owned(), 3)],
                false => Vec::new(),
            }
        );

        plant();
        let lease = redis.lease("k", &joining("a")).await.unwrap().unwrap();
        assert_eq!((lease.slots, lease.is_unknown_member), (3, false), "{wrong}");
        assert!(!redis.lease("k", &joining("b")).await.unwrap().unwrap().is_unknown_member);
        assert_ne!(server.ask(&["PTTL", "octowire:k"]), "-1", "{wrong}");
    }
}

#[tokio::test]
async fn a_hash_with_too_many_fields_is_replaced() {
    let server = RedisServer::start();
    let redis = RedisStore::connect(server.url()).await.unwrap();
    let plant = || {
        let fill = "for i = 1, 10002 do redis.call('HSET', KEYS[1], i, 1) end";
        server.ask(&["EVAL", fill, "1", "octowire:k"]);
    };
    plant();
    assert_eq!(redis.counters("k").await.unwrap(), BTreeMap::new());
    plant();
    let one = BTreeMap::from([("a".to_owned(), 1)]);
    redis.increment_counters("k", &[("a".to_owned(), 1)], LONG).await.unwrap();
    assert_eq!(redis.counters("k").await.unwrap(), one);
}

/// A large value is neither read nor sent, so that no other client waits for it.
#[tokio::test]
async fn a_value_over_the_read_limit_is_unreadable_and_not_an_outage() {
    let server = RedisServer::start();
    let store = Arc::new(RedisStore::connect(server.url()).await.unwrap());
    let redis: &RedisStore = &store;
    server.ask(&["SETRANGE", "octowire:k", "80000000", "x"]);
    server.ask(&["HSET", "octowire:t", "a", "7"]);
    server.ask(&[
        "EVAL",
        "redis.call('HSET', KEYS[1], 'b', string.rep('9', 80000000))",
        "1",
        "octowire:t",
    ]);
    server.ask(&[
        "EVAL",
        "redis.call('HSET', KEYS[1], string.rep('c', 2000), '1')",
        "1",
        "octowire:t",
    ]);
    let guard = ResilientStore::new(Arc::<RedisStore>::clone(&store), Duration::from_secs(10));
    let patience = StoreWaitBudget::new(LONG);
    let within = guard.run_reporting(&patience, |store| store.get_within("k", 4_000_000)).await;
    assert_eq!(within, crate::store::StoreResult::Unreadable);
    assert_eq!(guard.run(&patience, |store| store.get("k")).await, Some(None));
    let renewed = guard.run(&patience, |store| store.extend_if_equal("k", bytes("me"), LONG)).await;
    let released = guard.run(&patience, |store| store.remove_if_equal("k", bytes("me"))).await;
    assert_eq!((renewed, released), (Some(false), Some(false)));
    let one = BTreeMap::from([("a".to_owned(), 7)]);
    assert_eq!(guard.run(&patience, |store| store.counters("t")).await, Some(one));
    let amounts = [("b".to_owned(), 2)];
    assert_eq!(
        guard.run(&patience, |store| store.increment_counters("t", &amounts, LONG)).await,
        Some(true)
    );
    let both = BTreeMap::from([("a".to_owned(), 7), ("b".to_owned(), 2)]);
    assert_eq!(guard.run(&patience, |store| store.counters("t")).await, Some(both));
    assert_eq!(guard.health().outages, 0);
    let stats = server.ask(&["INFO", "stats"]);
    let sent = stats.lines().find_map(|line| line.trim().strip_prefix("total_net_output_bytes:"));
    let sent: u64 = sent.unwrap().parse().unwrap();
    assert!(sent < 1_000_000, "{sent} bytes were sent");
    // It is what its next writer puts there.
    redis.put("k", bytes("v"), LONG).await.unwrap();
    assert_eq!(redis.get_within("k", 1).await.unwrap(), Some(bytes("v")));
}
