//! Namespaces that may hold so much and no more.
#![expect(clippy::unwrap_used, reason = "a test harness: its own broken logic shall stop it")]

use jdb::{ErrorKind, Expected, Namespace};
use tests::on_sim::on_sim;
use tests::rng::Rng;

async fn held(ns: &Namespace) -> u64 {
    let mut len = 0;
    let mut scan = ns.iter();
    while let Some(item) = scan.next().await.unwrap() {
        len += item.key().len() as u64 + item.value_len().unwrap();
    }
    len
}

#[test]
fn a_full_namespace_takes_deletes_and_what_does_not_make_it_larger() {
    on_sim(1, 100, async |db| {
        db.ns(1u64).put("before", [0; 94]).await.unwrap();
        let ns = db.ns(1u64).quota(300);
        ns.put("a", [0; 99]).await.unwrap();
        let full = ns.put("b", [0; 100]).await.unwrap_err();
        assert_eq!(full.kind(), ErrorKind::Quota);
        assert_eq!(full.to_string(), "namespace 1: 101 bytes more would be too many: 200 of 300 are in use");
        assert_eq!(ns.put_if("b", Expected::Absent, [0; 100]).await.unwrap_err().kind(), ErrorKind::Quota);
        assert_eq!(
            ns.update("b", |_| Some([0; 100].to_vec().into())).await.unwrap_err().kind(),
            ErrorKind::Quota
        );
        ns.put("b", [0; 99]).await.unwrap();
        // Overwritten, not added.
        ns.put("b", [1; 99]).await.unwrap();
        ns.put("a", [1; 50]).await.unwrap();
        ns.put("c", [1; 48]).await.unwrap();
        assert_eq!(held(&ns).await, 300);
        assert!(ns.put("d", [0; 9]).await.is_err());
        ns.delete("before").await.unwrap();
        ns.put("d", [0; 90]).await.unwrap();
        let mut batch = ns.batch();
        for i in 0..20u8 {
            batch.put([i], [0; 1]);
        }
        assert_eq!(batch.commit().await.unwrap_err().kind(), ErrorKind::Quota);
        ns.clear().await.unwrap();
        ns.put("e", [0; 299]).await.unwrap();
        // Another namespace, and who holds it without a limit.
        db.ns(2u64).put("e", [0; 9000]).await.unwrap();
        db.ns(1u64).put("f", [0; 9000]).await.unwrap();
        assert!(ns.put("g", "").await.is_err());
        // Of a name that is not there yet.
        let named = db.named("name").await.unwrap().quota(100);
        assert!(named.put("key", [0; 98]).await.is_err());
        assert_eq!(db.names().next().await.unwrap(), None);
        named.put("key", [0; 97]).await.unwrap();
        assert!(named.put("x", "").await.is_err());
    });
}

#[test]
fn however_writes_fall_together_no_namespace_comes_to_hold_more() {
    const LIMIT: u64 = 5000;
    for seed in 0..20 {
        on_sim(seed, 100, async move |db| {
            let ns = db.ns(1u64).quota(LIMIT);
            let one = async |i: u64| {
                let mut rng = Rng::new(seed << 8 | i);
                let mut refused = 0;
                for _ in 0..100 {
                    let (key, value) = ([rng.below(60) as u8], vec![7; rng.index(400)]);
                    let done = match rng.below(6) {
                        0 => ns.delete(key).await.map(drop),
                        1 => ns.put_if(key, Expected::Absent, value).await.map(drop),
                        2 => ns.update(key, |_| Some(value.clone().into())).await.map(drop),
                        _ => ns.put(key, value).await.map(drop),
                    };
                    refused += u32::from(done.is_err_and(|error| error.kind() == ErrorKind::Quota));
                    if rng.below(20) == 0 {
                        db.flush().await.unwrap();
                    }
                }
                refused
            };
            let refused: u32 = futures::future::join_all((0..4).map(one)).await.into_iter().sum();
            let held = held(&ns).await;
            assert!(held <= LIMIT, "seed {seed}: {held}");
            // It was full, and not for want of looking.
            assert!(refused > 20 && held > LIMIT / 2, "seed {seed}: {refused} refused, {held} held");
        });
    }
}
