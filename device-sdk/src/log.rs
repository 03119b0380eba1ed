//! `error!`, `warn!`, `info!` and `debug!` of this crate: to `defmt` with feature `defmt`, else to `log` with feature `log`,
//! else to nothing (the arguments are type-checked and count as used, but are not evaluated).
//!
//! Placeholders are `{}` only, without names or hints, as both backends read them; arguments have `Display` and
//! `defmt::Format`. Never pass key material, tokens or request bodies.

macro_rules! levels {
    ($dollar:tt $($level:ident)*) => {$(
        #[allow(unused_macros, reason = "which levels are used depends on features")]
        macro_rules! $level {
            ($dollar format:literal $dollar(, $dollar argument:expr)* $dollar(,)?) => {{
                #[cfg(feature = "defmt")]
                ::defmt::$level!($dollar format $dollar(, $dollar argument)*);
                #[cfg(all(feature = "log", not(feature = "defmt")))]
                ::log::$level!($dollar format $dollar(, $dollar argument)*);
                #[cfg(not(any(feature = "defmt", feature = "log")))]
                if false {
                    let _ = ::core::format_args!($dollar format $dollar(, $dollar argument)*);
                }
            }};
        }
    )*};
}

levels!($ error warn info debug);

#[cfg(all(test, not(feature = "defmt")))]
mod tests {
    #[cfg(feature = "log")]
    #[test]
    fn each_level_reaches_the_logger() {
        use std::string::{String, ToString};
        use std::sync::Mutex;
        use std::vec::Vec;

        struct Seen(Mutex<Vec<(::log::Level, String)>>);
        impl ::log::Log for Seen {
            fn enabled(&self, _: &::log::Metadata<'_>) -> bool {
                true
            }
            fn log(&self, record: &::log::Record<'_>) {
                if record.target() == module_path!() {
                    self.0.lock().unwrap().push((record.level(), record.args().to_string()));
                }
            }
            fn flush(&self) {}
        }
        static SEEN: Seen = Seen(Mutex::new(Vec::new()));
        ::log::set_logger(&SEEN).unwrap();
        ::log::set_max_level(::log::LevelFilter::Debug);

        error!("{}", crate::Error::Due);
        warn!("nothing");
        info!("{} of {}", 1, "two",);
        debug!("{}", true);
        use ::log::Level::{Debug, Error, Info, Warn};
        let due = crate::Error::Due.to_string();
        let want = [(Error, due.as_str()), (Warn, "nothing"), (Info, "1 of two"), (Debug, "true")];
        let seen = SEEN.0.lock().unwrap();
        assert_eq!(seen.iter().map(|(level, text)| (*level, text.as_str())).collect::<Vec<_>>(), want);
    }

    #[cfg(not(feature = "log"))]
    #[test]
    fn without_a_backend_nothing_is_evaluated() {
        let mut calls = 0;
        let mut call = || {
            calls += 1;
            calls
        };
        error!("{}", call());
        warn!("{}", call());
        info!("{}", call());
        debug!("{}", call());
        assert_eq!(calls, 0);
    }
}
