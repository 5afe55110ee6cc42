use super::*;

const DIR: &str = "/d";

fn path(name: &str) -> PathBuf {
    Path::new(DIR).join(name)
}

fn recording() -> SimDisk {
    let disk = SimDisk::default();
    disk.create_dir_all(Path::new(DIR)).unwrap();
    disk.record();
    disk
}

/// What each crash state has under a name.
fn outcomes(disk: &SimDisk, name: &str) -> Vec<Option<Vec<u8>>> {
    let states = disk.take_journal().crash_states(20, 1);
    let mut outcomes: Vec<_> = states.map(|crash| crash.disk.read(&path(name)).ok()).collect();
    outcomes.sort();
    outcomes.dedup();
    outcomes
}

#[test]
fn what_is_not_synced_may_be_torn_zero_or_missing() {
    let disk = recording();
    disk.create(&path("a")).unwrap().append(b"abc").unwrap();
    let expected: Vec<Option<&[u8]>> =
        vec![None, Some(b""), Some(b"\0\0\0"), Some(b"a"), Some(b"a\0\0"), Some(b"ab"), Some(b"ab\0"), Some(b"abc")];
    assert_eq!(outcomes(&disk, "a"), expected.into_iter().map(|o| o.map(<[u8]>::to_vec)).collect::<Vec<_>>());
}

#[test]
fn a_write_may_be_lost_before_one_that_is_not() {
    let disk = recording();
    let file = disk.create(&path("a")).unwrap();
    file.append(b"old").unwrap();
    file.sync_data().unwrap();
    disk.sync_dir(Path::new(DIR)).unwrap();
    file.append(b"x").unwrap();
    file.append(b"y").unwrap();
    let (behind, whole) = (b"old\0y".to_vec(), b"oldxy".to_vec());
    let outcomes = outcomes(&disk, "a");
    assert!(outcomes.contains(&Some(behind)) && outcomes.contains(&Some(whole)), "{outcomes:?}");
}

#[test]
fn a_cut_may_be_lost_before_a_write_that_is_not() {
    let disk = SimDisk::default();
    disk.create_dir_all(Path::new(DIR)).unwrap();
    let file = disk.create(&path("a")).unwrap();
    file.append(b"abcde").unwrap();
    disk.record();
    file.truncate(1).unwrap();
    file.append(b"xy").unwrap();
    file.append(b"z").unwrap();
    let outcomes = outcomes(&disk, "a");
    for legal in [&b"abcde"[..], b"a", b"axy", b"axyz", b"a\0\0z", b"axyde", b"axyze"] {
        assert!(outcomes.contains(&Some(legal.to_vec())), "{legal:?} of {outcomes:?}");
    }
}

#[test]
fn a_long_write_may_lose_its_beginning() {
    let disk = recording();
    disk.create(&path("a")).unwrap().append(&[7; 1024]).unwrap();
    let hole = [[0; 512], [7; 512]].concat();
    assert!(outcomes(&disk, "a").contains(&Some(hole)));
}

#[test]
fn what_is_synced_stays() {
    let disk = recording();
    let file = disk.create(&path("a")).unwrap();
    file.append(b"abc").unwrap();
    file.sync_data().unwrap();
    disk.sync_dir(Path::new(DIR)).unwrap();
    disk.mark("after", 7);
    let last = disk.take_journal().crash_states(20, 1).filter(|crash| crash.acknowledged == 7).collect::<Vec<_>>();
    assert_eq!(last.len(), 1);
    assert_eq!((last[0].phase, last[0].disk.read(&path("a")).unwrap()), ("after", b"abc".to_vec()));
}

#[test]
fn an_atomic_write_is_old_or_new() {
    let disk = SimDisk::default();
    disk.create_dir_all(Path::new(DIR)).unwrap();
    disk.write_atomically(&path("a"), b"old").unwrap();
    disk.record();
    disk.write_atomically(&path("a"), b"new").unwrap();
    assert_eq!(outcomes(&disk, "a"), [Some(b"new".to_vec()), Some(b"old".to_vec())]);
}

#[test]
fn without_its_sync_it_is_neither() {
    let disk = SimDisk::default();
    disk.create_dir_all(Path::new(DIR)).unwrap();
    disk.write_atomically(&path("a"), b"old").unwrap();
    disk.record();
    disk.skip(disk.ordering_calls() + 1);
    disk.write_atomically(&path("a"), b"new").unwrap();
    assert!(outcomes(&disk, "a").contains(&Some(b"".to_vec())));
}

#[test]
fn a_failed_sync_forgets_for_ever() {
    let disk = recording();
    let file = disk.create(&path("a")).unwrap();
    disk.sync_dir(Path::new(DIR)).unwrap();
    file.append(b"abc").unwrap();
    disk.fail_sync(1);
    assert!(file.sync_data().is_err());
    file.append(b"d").unwrap();
    file.sync_data().unwrap();
    disk.mark("after", 1);
    let after: Vec<_> = disk.take_journal().crash_states(0, 1).filter(|crash| crash.acknowledged == 1).collect();
    assert_eq!(after.len(), 1);
    assert_eq!(after[0].disk.read(&path("a")).unwrap(), b"\0\0\0d");
    assert_eq!(disk.read(&path("a")).unwrap(), b"abcd", "who reads on sees what was written");
}

#[test]
fn it_is_a_disk() {
    let disk = SimDisk::default();
    disk.create_dir_all(&path("x/y")).unwrap();
    disk.create(&path("x/f")).unwrap().append(b"12345").unwrap();
    disk.hard_link(&path("x/f"), &path("g")).unwrap();
    assert_eq!(disk.hard_link(&path("x/f"), &path("g")).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    disk.open(&path("g")).unwrap().truncate(3).unwrap();
    assert_eq!(disk.read(&path("x/f")).unwrap(), b"123");
    assert_eq!(disk.list(&path("x")).unwrap(), [path("x/f"), path("x/y")]);
    assert_eq!(disk.rename(&path("g"), &path("none/g")).unwrap_err().kind(), io::ErrorKind::NotFound);
    disk.rename(&path("x"), &path("z")).unwrap();
    assert!(!disk.exists(&path("x")).unwrap() && disk.is_dir(&path("z/y")).unwrap());
    let mut two = [0; 2];
    disk.open(&path("g")).unwrap().read_exact_at(&mut two, 1).unwrap();
    assert_eq!(&two, b"23");
    assert!(disk.open(&path("g")).unwrap().read_exact_at(&mut two, 2).is_err());
    let guard = disk.lock(&path("lock")).unwrap();
    assert_eq!(disk.lock(&path("lock")).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    drop(guard);
    disk.lock(&path("lock")).unwrap();
    disk.remove_dir_all(&path("z")).unwrap();
    assert_eq!(disk.files(Path::new(DIR)).unwrap(), [path("g"), path("lock")]);
}
