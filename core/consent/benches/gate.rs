//! What the law costs: a permit, and the whole way of 64 bytes without the disk.
//!
//! `cargo bench -p accord-consent --features volatile --bench gate`

use std::hint::black_box;

use accord_consent::{Choice, Decision, Destination, Envelope, Gate, Personal, RecipientId, To, example};
use accord_model::{EntryKey, FieldCode, FieldSet};
use criterion::{Criterion, criterion_group, criterion_main};

const WITHIN: std::time::Duration = std::time::Duration::from_secs(10);

fn gate(criterion: &mut Criterion) {
    let (statement, signer) = example::parts();
    let gate = Gate::volatile(statement, signer);
    let entry = EntryKey::new("example/hello").expect("an entry");
    let phone: RecipientId = "device:phone".parse().expect("a recipient");
    let tablet: RecipientId = "device:tablet".parse().expect("a recipient");
    for to in [To::One(phone.clone()), To::Any] {
        let shown = gate.notice(&entry, "en").expect("an entry").shown("bench");
        gate.decide(Decision::new(entry.clone(), to, Choice::Always, shown)).expect("a consent");
    }
    let bound = gate.bind("example");
    let fields = FieldSet::one(FieldCode::DeviceName);

    criterion.bench_function("permit", |bench| {
        bench.iter(|| bound.permit(&entry, &phone, black_box(fields), "on.send").map(drop))
    });
    criterion.bench_function("permit by a decision on any", |bench| {
        bench.iter(|| bound.permit(&entry, &tablet, black_box(fields), "on.send").map(drop));
    });

    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let content = Personal::new(FieldCode::DeviceName, vec![b'x'; 64]);
    let send = || async {
        let permit = bound.permit(&entry, &phone, fields, "on.send").expect("a permit");
        let to = Destination::new(phone.clone(), "192.0.2.7:1716");
        let mut outgoing = permit.seal(Envelope::raw(&content), to).await.expect("a message");
        outgoing.send(&mut tokio::io::sink(), &[], WITHIN).await.expect("written");
        outgoing.confirm(64).await.expect("a record")
    };
    criterion.bench_function("64 bytes, permit to sent, ledger in memory", |bench| {
        bench.iter(|| runtime.block_on(send()));
    });
}

criterion_group!(benches, gate);
criterion_main!(benches);
