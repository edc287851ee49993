//! Files that are missing, and names that are not ours.

use crate::support::{Fixture, assert_refused, assert_works_on, look, on_real, options};
use jdb::ErrorKind;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

#[test]
fn missing_file_is_named() {
    let fixture = Fixture::new();
    let (segments, tables) = (fixture.files(".log"), fixture.files(".sst"));
    let last = segments.len() - 1;
    let files = [fixture.path.join("SUPERBLOCK"), fixture.shard().join("MANIFEST")];
    for file in files.iter().chain(&segments[..last]).chain(&tables) {
        let aside = fixture.dir.path().join("aside");
        fs::rename(file, &aside).unwrap();
        assert_refused(options(&fixture.path), ErrorKind::NotFound, Some(file), "missing");
        assert!(!file.exists(), "made anew");
        fs::rename(&aside, file).unwrap();
    }
    assert_works_on(&fixture.path, "put back");
}

#[test]
fn missing_shard_is_named() {
    let fixture = Fixture::new();
    fs::rename(fixture.shard(), fixture.dir.path().join("aside")).unwrap();
    let manifest = fixture.shard().join("MANIFEST");
    assert_refused(options(&fixture.path), ErrorKind::NotFound, Some(&manifest), "no shard");
}

#[test]
fn missing_last_segment_leaves_what_was_before_it() {
    let fixture = Fixture::left_open();
    fs::remove_file(fixture.files(".log").pop().unwrap()).unwrap();
    let count = on_real(look(options(&fixture.path), "last")).unwrap().assert_prefix("last");
    assert!(count >= 70, "{count}: what is in tables");
}

#[test]
fn missing_last_segment_of_a_closed_database_is_named() {
    let fixture = Fixture::new();
    let file = fixture.files(".log").pop().unwrap();
    fs::remove_file(&file).unwrap();
    let error = on_real(jdb::open(options(&fixture.path))).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Corrupt), "{error}");
    assert!(error.to_string().contains(file.file_name().unwrap().to_str().unwrap()), "{error}");
}

#[test]
fn missing_lock_file_is_made_anew() {
    let fixture = Fixture::new();
    fs::remove_file(fixture.path.join("LOCK")).unwrap();
    assert_works_on(&fixture.path, "no lock file");
}

#[test]
fn table_that_goes_missing_while_the_database_is_open_is_an_error_not_an_absent_key() {
    let fixture = Fixture::new();
    let table = &fixture.files(".sst")[0];
    on_real(async {
        let db = jdb::open(options(&fixture.path)).await.unwrap();
        fs::remove_file(table).unwrap();
        let error = db.ns(crate::support::NS).get("key001").await.unwrap_err();
        assert_eq!(error.path(), Some(&**table), "{error}");
        assert!(db.ns(crate::support::NS).iter().next().await.is_err());
        db.close().await.unwrap();
    });
}

/// What stands at a name that is not ours.
#[derive(PartialEq, Eq, Debug)]
enum Stray {
    File(&'static str),
    Link(PathBuf),
    Dir,
}

impl Stray {
    fn make(&self, path: &Path) {
        match self {
            Self::File(content) => fs::write(path, content).unwrap(),
            Self::Link(target) => symlink(target, path).unwrap(),
            Self::Dir => {
                fs::create_dir(path).unwrap();
                fs::write(path.join("inside"), "inside").unwrap();
            }
        }
    }

    fn assert_untouched(&self, path: &Path) {
        match self {
            Self::File(content) => {
                assert_eq!(fs::read(path).unwrap(), content.as_bytes(), "{}", path.display())
            }
            Self::Link(target) => assert_eq!(fs::read_link(path).unwrap(), *target, "{}", path.display()),
            Self::Dir => assert_eq!(fs::read(path.join("inside")).unwrap(), b"inside", "{}", path.display()),
        }
    }
}

#[test]
fn stray_files_links_and_directories_stay_and_the_database_works_on() {
    let fixture = Fixture::new();
    let victim = fixture.dir.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    let passwd = fs::read("/etc/passwd").unwrap();
    let link = |target: &Path| Stray::Link(target.to_owned());
    let next = next_number(&fixture);
    let (shard, top) = (fixture.shard(), fixture.path.clone());
    let strays = [
        (shard.join("notes.txt"), Stray::File("mine")),
        (shard.join("00000007.sst.bak"), Stray::File("mine")),
        (shard.join("7.log"), Stray::File("mine")),
        (shard.join("00000000.log"), Stray::File("mine")),
        (shard.join("0000000x.sst"), Stray::File("mine")),
        (shard.join("manifest"), Stray::File("mine")),
        (shard.join("MANIFEST.old"), Stray::File("mine")),
        (shard.join(format!("{next:08}.log")), link(Path::new("/etc/passwd"))),
        (shard.join(format!("{:08}.sst", next + 1)), link(&victim)),
        (shard.join(format!("{:08}.pack", next + 2)), link(&victim)),
        (shard.join(format!("{:08}.sst", next + 3)), link(Path::new("nowhere"))),
        (shard.join(format!("{:08}.log", next + 4)), Stray::Dir),
        (shard.join(format!("{:08}.sst", next + 5)), Stray::Dir),
        (shard.join("photos"), Stray::Dir),
        (top.join("notes.txt"), Stray::File("mine")),
        (top.join("shard-001"), Stray::Dir),
        (top.join("shard-999"), Stray::File("mine")),
        (top.join("SUPERBLOCK.bak"), link(&victim)),
    ];
    for (path, stray) in &strays {
        stray.make(path);
    }
    for round in 0..3 {
        assert_works_on(&fixture.path, &format!("round {round}"));
        for (path, stray) in &strays {
            stray.assert_untouched(path);
        }
    }
    assert_eq!(fs::read(&victim).unwrap(), b"precious");
    assert_eq!(fs::read("/etc/passwd").unwrap(), passwd);
}

fn next_number(fixture: &Fixture) -> u32 {
    let numbers = [".log", ".sst"].into_iter().flat_map(|suffix| fixture.files(suffix));
    let number = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().parse::<u32>().unwrap();
    numbers.map(number).max().unwrap() + 1
}

#[test]
fn link_in_the_place_of_a_file_of_ours_is_not_followed() {
    for name in ["SUPERBLOCK", "LOCK", "shard-000/MANIFEST", "shard-000/MANIFEST.tmp"] {
        let fixture = Fixture::new();
        let file = fixture.path.join(name);
        let victim = fixture.dir.path().join("victim");
        if file.exists() {
            // The very content of ours: only that it is a link is wrong.
            fs::rename(&file, &victim).unwrap();
        } else {
            fs::write(&victim, "precious").unwrap();
        }
        let before = fs::read(&victim).unwrap();
        symlink(&victim, &file).unwrap();
        let error = on_real(async {
            let db = jdb::open(options(&fixture.path)).await?;
            look_whole(&db).await;
            let put = db.ns(1u64).put("key", "value").await;
            drop(db.close().await);
            put.map(drop)
        });
        let error = error.expect_err(name);
        assert_eq!((error.kind(), error.path()), (ErrorKind::Io, Some(&*file)), "{name}: {error}");
        assert_eq!(fs::read(&victim).unwrap(), before, "{name}");
        assert_eq!(fs::read_link(&file).unwrap(), victim, "{name}");
        fs::remove_file(&file).unwrap();
        if name != "shard-000/MANIFEST.tmp" {
            fs::rename(&victim, &file).unwrap();
        }
        assert_works_on(&fixture.path, name);
    }
}

async fn look_whole(db: &jdb::Db) {
    crate::support::look_at(db, "link").await.assert_whole("link");
}
