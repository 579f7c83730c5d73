//! Scripts that a real `howdah-php` runs, and clients that leave them.

use std::path::{Path, PathBuf};

use howdah_serve::Backend;
use howdah_serve::cgi::Constants;
use howdah_serve::log::Log;
use howdah_serve::pool::{Mode, Pool, PoolConfig, Size};

/// What a directory `public` and its neighbours hold.
pub(crate) fn site(root: &Path) {
    for (name, content) in [
        ("ten.txt", "0123456789"),
        (
            "index.php",
            "<?php echo 'front ' . $_SERVER['REQUEST_URI'];",
        ),
        ("echo.php", "<?php echo file_get_contents('php://input');"),
        (
            "var.php",
            "<?php echo $_SERVER[$_SERVER['QUERY_STRING']] ?? '-';",
        ),
        ("early.php", "<?php echo 'early';"),
        ("fatal.php", "<?php nothing();"),
        (
            "status.php",
            "<?php http_response_code((int) $_SERVER['QUERY_STRING']);",
        ),
        (
            "fields.php",
            "<?php @header(urldecode($_SERVER['QUERY_STRING'])); echo 'ok';",
        ),
        (
            "send.php",
            "<?php header('Content-Type: application/x-own'); header('X-Sendfile: ' . realpath($_SERVER['QUERY_STRING']));",
        ),
        (
            "accel.php",
            "<?php header('X-Accel-Redirect: ' . $_SERVER['QUERY_STRING']);",
        ),
        (
            "endless.php",
            "<?php for (;;) { echo str_repeat('x', 65536); flush(); }",
        ),
        ("picture.jpg", "<?php echo 'run';"),
        ("UP.PHP", "<?php echo 'up';"),
        ("code.phtml", "<?php secret"),
        ("var.php.bak", "<?php secret"),
        (".hidden.php", "<?php echo 'hidden';"),
        (".git/x.php", "<?php echo 'hidden';"),
        ("directory.php/file", ""),
        ("../outside.php", "<?php echo 'outside';"),
        ("../storage/paid.txt", "paid for"),
    ] {
        let file = root.join(name);
        fs_err::create_dir_all(file.parent().unwrap()).unwrap();
        fs_err::write(file, content).unwrap();
    }
    fs_err::os::unix::fs::symlink("../outside.php", root.join("link.php")).unwrap();
}

/// Two workers that run whatever script a request names.
pub(crate) async fn backend(root: &Path) -> Backend {
    // `make php` puts it there.
    let program = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/php/howdah-php8.2");
    let mut config = PoolConfig::new(Mode::Classic, program, root);
    config.size = Size::Fixed(2);
    config.settings = vec!["display_errors=0".into(), "log_errors=0".into()];
    let constants = Constants::new(root, &[]);
    let pool = Pool::start(config, constants, Log::new(drop)).await;
    Backend::Pool(pool.unwrap())
}
