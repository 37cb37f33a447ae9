//! Numbers, texts and vectors that are the same every time.

/// Words that synthetic texts are made of.
const WORDS: u64 = 5000;

/// Groups that clustered vectors lie in.
const CLUSTERS: u64 = 500;
/// Dimensions in which clustered vectors mostly differ.
const INTRINSIC_DIMENSIONS: usize = 48;
/// Of so many numbers in a row, these are near-copies of earlier vectors.
const NUMBERS_IN_A_ROW: u64 = 8;
const COPIES: std::ops::RangeInclusive<u64> = 1..=3;
/// How far a near-copy lies from what it copies, in lengths of that: cosines of 0.82 to 1.
const MAX_DISTANCE: f32 = 0.7;
/// How far a vector lies from the middle of its cluster, and how much all other dimensions add.
const SPREAD: f32 = 0.9;
const NOISE: f32 = 0.35;

/// Numbers that look random and are the same every time (splitmix64, Steele et al. 2014).
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// `count` words with a space between.
    pub(super) fn text(&mut self, count: usize) -> String {
        let words = (0..count).map(|_| format!("word{}", self.next() % WORDS));
        words.collect::<Vec<_>>().join(" ")
    }

    /// About normal, with mean 0 and deviation 1: the sum of four uniform numbers.
    fn normal(&mut self) -> f32 {
        let bits = self.next();
        let parts = (0..4).map(|part| (bits >> (16 * part) & 0xffff) as f32 / 65536.0);
        (parts.sum::<f32>() - 2.0) * 3.0_f32.sqrt()
    }

    fn normals(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.normal()).collect()
    }
}

/// Vectors in clusters of few dimensions, as embeddings of texts are: among vectors that point
/// everywhere alike there are no neighbours worth finding.
#[derive(Debug)]
pub(super) struct Clustered {
    /// One row for each intrinsic dimension.
    basis: Vec<Vec<f32>>,
    dimensions: usize,
}

impl Clustered {
    pub(super) fn new(dimensions: usize) -> Self {
        let mut random = Random::new(1);
        let basis = (0..INTRINSIC_DIMENSIONS).map(|_| random.normals(dimensions));
        Self {
            basis: basis.collect(),
            dimensions,
        }
    }

    /// The vector with a number, of no certain length.
    pub(super) fn vector(&self, number: u64) -> Vec<f32> {
        let mut random = Random::new(number << 20 | 2);
        let mut centre = Random::new((random.next() % CLUSTERS) << 20 | 3);
        let mut vector = random.normals(self.dimensions);
        vector.iter_mut().for_each(|value| *value *= NOISE);
        let share = (INTRINSIC_DIMENSIONS as f32).sqrt().recip();
        for direction in &self.basis {
            let weight = (centre.normal() + SPREAD * random.normal()) * share;
            for (value, direction) in vector.iter_mut().zip(direction) {
                *value += weight * direction;
            }
        }
        vector
    }
}

/// Vectors in clusters, some of which are near-copies of others.
#[derive(Debug)]
pub(super) struct NearCopies(Clustered);

impl NearCopies {
    pub(super) fn new(dimensions: usize) -> Self {
        Self(Clustered::new(dimensions))
    }

    /// The vector with a number, of no certain length.
    pub(super) fn vector(&self, number: u64) -> Vec<f32> {
        if !COPIES.contains(&(number % NUMBERS_IN_A_ROW)) {
            return self.0.vector(number);
        }
        let mut random = Random::new(number << 20 | 4);
        // The first number of a row is never a copy.
        let original = random.next() % number / NUMBERS_IN_A_ROW * NUMBERS_IN_A_ROW;
        let mut vector = self.0.vector(original);
        let noise = random.normals(vector.len());
        let length = |vector: &[f32]| vector.iter().map(|value| value * value).sum::<f32>().sqrt();
        let distance = (random.next() % 1000) as f32 / 1000.0 * MAX_DISTANCE;
        let scale = distance * length(&vector) / length(&noise);
        for (value, noise) in vector.iter_mut().zip(noise) {
            *value += scale * noise;
        }
        vector
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cosine(a: &[f32], b: &[f32]) -> f32 {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    }

    #[test]
    fn numbers_are_about_normal() {
        let values = Random::new(5).normals(10_000);
        let mean = values.iter().sum::<f32>() / 10_000.0;
        let square = values.iter().map(|value| value * value).sum::<f32>() / 10_000.0;
        assert!(mean.abs() < 0.05, "{mean}");
        assert!((square - 1.0).abs() < 0.05, "{square}");
    }

    #[test]
    fn a_vector_has_neighbours_that_are_nearer_than_most() {
        let space = Clustered::new(96);
        let vectors: Vec<_> = (0..2000).map(|number| space.vector(number)).collect();
        let mut cosines: Vec<f32> = vectors[1..]
            .iter()
            .map(|other| cosine(&vectors[0], other))
            .collect();
        cosines.sort_by(f32::total_cmp);
        let (median, nearest) = (cosines[1000], cosines[1998]);
        assert!(median.abs() < 0.2 && nearest > 0.4, "{median} {nearest}");
    }

    #[test]
    fn near_copies_are_near_to_an_earlier_vector_and_others_are_not() {
        let space = NearCopies::new(384);
        let vectors: Vec<_> = (0..400).map(|number| space.vector(number)).collect();
        for (number, vector) in vectors.iter().enumerate().skip(8) {
            let earlier = vectors[..number].iter();
            let nearest = earlier
                .map(|other| cosine(vector, other))
                .fold(-1.0, f32::max);
            let is_copy = COPIES.contains(&(number as u64 % NUMBERS_IN_A_ROW));
            assert_eq!(nearest > 0.75, is_copy, "{number}: {nearest}");
        }
    }
}
