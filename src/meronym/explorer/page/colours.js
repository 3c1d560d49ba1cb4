// Whether two colours can be told apart by everybody.
//
// Colours as they look without red, green or blue cones: the matrices of Machado, Oliveira and Fernandes (2009), full
// severity, on linear RGB. Distances: Euclidean in Oklab (Ottosson 2020).

const SIGHTS = [
  [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
  [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
  [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
  [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
];
const NEAR = 0.07;

/** Whether two colours, "#rrggbb", are nearly the same to somebody. */
export function alike(first, second) {
  const [a, b] = [linear(first), linear(second)];
  return SIGHTS.some((sight) => Math.hypot(...difference(oklab(times(sight, a)), oklab(times(sight, b)))) < NEAR);
}

const difference = (a, b) => a.map((value, i) => value - b[i]);
const times = (matrix, vector) => matrix.map((row) => row.reduce((sum, value, i) => sum + value * vector[i], 0));

function linear(hex) {
  return [1, 3, 5].map((at) => {
    const value = parseInt(hex.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
}

function oklab(rgb) {
  const cones = times([[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566], [0.0883024619, 0.2817188376, 0.6299787005]], rgb);
  return times([[0.2104542553, 0.793617785, -0.0040720468], [1.9779984951, -2.428592205, 0.4505937099], [0.0259040371, 0.7827717662, -0.808675766]], cones.map(Math.cbrt));
}
