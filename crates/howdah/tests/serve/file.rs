//! `[serve]` of `howdah.toml`.

use std::process::Command;

use crate::server::Server;

#[test]
fn the_file_counts_less_than_flags() {
    let file = "[serve]\nworkers = 3\nrequest_timeout = 9\nno_access_log = true\n";
    let start = |arguments| {
        Server::start_with("worker", arguments, |directory| {
            fs_err::write(directory.join("howdah.toml"), file).unwrap();
        })
    };
    for (arguments, workers) in [(&[][..], 3), (&["--workers", "1"], 1)] {
        let server = start(arguments);
        assert_eq!(server.get("/next").status, 200);
        assert_eq!(server.pool()["workers"].as_array().unwrap().len(), workers);
        assert_eq!(server.log_count("handled request"), 0);
        server.stop();
    }
}

#[test]
fn top_asks_where_the_file_says() {
    let directory = tempfile::tempdir().unwrap();
    let top = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_howdah"));
        command
            .current_dir(directory.path())
            .env_remove("HOWDAH_ADMIN");
        command.arg("top").output().unwrap()
    };
    assert_eq!(top().status.code(), Some(2));
    let file = "[serve]\nadmin = './nobody.sock'\n";
    fs_err::write(directory.path().join("howdah.toml"), file).unwrap();
    let output = top();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        told.contains("no `howdah serve` answers at `./nobody.sock`"),
        "{told}"
    );
}

#[test]
fn a_wrong_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = "[serve]\nworker = 'worker.php'\nworkres = 3\nqueue = 'long'\n";
    fs_err::write(directory.path().join("howdah.toml"), file).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_howdah"))
        .current_dir(directory.path())
        .arg("serve")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    insta::assert_snapshot!(String::from_utf8(output.stderr).unwrap(), @"
    error: `howdah.toml` cannot be used
      caused by: howdah.toml:3: there is no `workres` here: did you mean `workers`?
      caused by: howdah.toml:4: invalid value 'long' for '--queue <COUNT>': invalid digit found in string
    hint: the keys of [serve] are the flags of `howdah serve --help`, with _ for -
    ");
}

#[test]
fn slow_paths_have_workers_of_their_own() {
    let file = "[serve.pools.slow]\npaths = '/wait*'\nworkers = 2\nmode = 'classic'\n";
    let server = Server::start_with("worker", &["--workers", "1"], |directory| {
        fs_err::write(directory.join("howdah.toml"), file).unwrap();
    });
    let pools = server.pools();
    let told: Vec<_> = pools
        .iter()
        .map(|pool| (&pool["name"], &pool["mode"]))
        .collect();
    let expected = [("php", "worker"), ("slow", "classic")];
    assert_eq!(told.len(), 2);
    for ((name, mode), expected) in told.into_iter().zip(expected) {
        assert_eq!(
            (name.as_str(), mode.as_str()),
            (Some(expected.0), Some(expected.1))
        );
    }
    std::thread::scope(|scope| {
        let slow: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| server.get("/wait")))
            .collect();
        server.wait_until(|| server.pools()[1]["waiting"] == 1);
        // All workers for slow requests are busy, and one more of these waits; the others do not.
        assert_eq!(crate::json(&server.get("/next"))["uri"], "/next");
        assert_eq!(server.admin("POST", "/reload", "").status, 200);
        server.create("go");
        for request in slow {
            assert_eq!(crate::json(&request.join().unwrap())["uri"], "/wait");
        }
    });
    server.stop();
}
