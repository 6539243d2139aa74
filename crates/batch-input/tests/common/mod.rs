//! What tests share.

use std::sync::{Arc, LazyLock};

use batch_handlers::{HandlerConfig, standard_registry};
use batch_template::Functions;

/// The functions that templates may name.
pub(crate) fn functions() -> Arc<dyn Functions> {
    static FUNCTIONS: LazyLock<Arc<dyn Functions>> = LazyLock::new(|| {
        let config = HandlerConfig::new(std::env::temp_dir());
        Arc::new(standard_registry(&config))
    });
    Arc::clone(&*FUNCTIONS)
}
