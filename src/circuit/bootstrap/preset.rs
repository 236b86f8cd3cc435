//! The bootstraps that come with the crate.

use super::{BootstrapSpec, Order};
use crate::{
    circuit::Result,
    ring::insecure_chain,
    rlwe::{Params, RlweError, Spec},
};

/// A bootstrap with parameters for it. What it takes and gives is measured in `docs/bootstrapping.md`.
#[derive(Clone, Debug, PartialEq)]
pub struct Preset {
    /// Its name; insecure ones say so.
    pub name: &'static str,
    /// The name of its chain.
    pub chain: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// What it is made of.
    pub spec: BootstrapSpec,
}

impl Preset {
    /// The parameters: of 128 bits of security, unless the name says that they have none.
    ///
    /// # Errors
    /// None for those of [`presets`] and [`insecure_presets`].
    pub fn params(&self) -> Result<Params> {
        match insecure_chain(self.chain) {
            Some(chain) => Ok(Params::insecure(Spec { chain })?),
            None => Ok(Params::shipped(self.chain)?),
        }
    }
}

/// The secure ones.
pub fn presets() -> Vec<Preset> {
    let usual = BootstrapSpec::new(1 << 15);
    vec![
        Preset {
            name: "throughput",
            chain: "n16_boot40_l12_d3",
            about: "12 levels of 40 bits, ratio 2^10: the usual one",
            spec: usual.clone(),
        },
        Preset {
            name: "precision",
            chain: "n16_boot45_l10_d4",
            about: "10 levels of 45 bits, three of them for the way in, ratio 2^3 and an arcsine: any message to many bits",
            spec: BootstrapSpec {
                arcsine: Some(7),
                order: Order::CoefficientsFirst,
                ..usual.clone()
            },
        },
        Preset {
            name: "masked",
            chain: "n16_boot48_l9_d3",
            about: "9 levels of 48 bits, ratio 2^7 and a mask of signs: equal slots as good as random ones, from level 1",
            spec: BootstrapSpec {
                mask: true,
                ..usual.clone()
            },
        },
        Preset {
            name: "coefficients-first",
            chain: "n16_boot40_l13_d3",
            about: "13 levels of 40 bits, slots to coefficients on the lowest three of them",
            spec: BootstrapSpec {
                order: Order::CoefficientsFirst,
                ..usual
            },
        },
        Preset {
            name: "small",
            chain: "n15_boot38_l1_d8",
            about: "half the ring, 1 level of 38 bits",
            spec: BootstrapSpec {
                to_coefficients: 2,
                ..BootstrapSpec::new(1 << 14)
            },
        },
    ]
}

/// For tests and demonstrations, without any security.
pub fn insecure_presets() -> Vec<Preset> {
    let usual = BootstrapSpec {
        to_slots: 2,
        to_coefficients: 2,
        ..BootstrapSpec::new(1 << 9)
    };
    vec![
        Preset {
            name: "insecure-tiny",
            chain: "insecure_n10_boot40_l3_d3",
            about: "N = 2^10, 3 levels of 40 bits",
            spec: usual.clone(),
        },
        Preset {
            name: "insecure-precision",
            chain: "insecure_n10_boot54_l2_d4",
            about: "N = 2^10, 2 levels of 54 bits, an arcsine",
            spec: BootstrapSpec {
                arcsine: Some(7),
                ..usual.clone()
            },
        },
        Preset {
            name: "insecure-first",
            chain: "insecure_n10_boot40_l4_d3",
            about: "N = 2^10, 4 levels of 40 bits, slots to coefficients first",
            spec: BootstrapSpec {
                order: Order::CoefficientsFirst,
                ..usual
            },
        },
    ]
}

/// The preset of this name.
///
/// # Errors
/// The names that there are.
pub fn preset(name: &str) -> Result<Preset> {
    let all = || presets().into_iter().chain(insecure_presets());
    let unknown = || {
        let names: Vec<&str> = all().map(|p| p.name).collect();
        let (left, remedy) = (names.join(", "), "choose one of them");
        RlweError::mismatch("bootstrap", "names", left, name, remedy)
    };
    Ok(all().find(|p| p.name == name).ok_or_else(unknown)?)
}
