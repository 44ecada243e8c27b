// Random numbers of the page, or those that a script gives.

/** sfc32 seeded by one number, and normal numbers from it by the polar method. */
class Noise {
  constructor(seed) {
    this.given = [];
    this.reseed(seed);
  }

  reseed(seed) {
    this.state = [seed | 0, 0x9e3779b9 | 0, 0x243f6a88 | 0, 1];
    this.spare = null;
    for (let i = 0; i < 16; i++) this.uniform();
  }

  uniform() {
    const s = this.state;
    const sum = (s[0] + s[1] + s[3]) | 0;
    s[3] = (s[3] + 1) | 0;
    s[0] = s[1] ^ (s[1] >>> 9);
    s[1] = (s[2] + (s[2] << 3)) | 0;
    s[2] = ((s[2] << 21) | (s[2] >>> 11)) + sum | 0;
    return (sum >>> 0) / 4294967296;
  }

  normal() {
    if (this.spare !== null) {
      const kept = this.spare;
      this.spare = null;
      return kept;
    }
    for (;;) {
      const u = 2 * this.uniform() - 1, v = 2 * this.uniform() - 1, r = u * u + v * v;
      if (r > 0 && r < 1) {
        const factor = Math.sqrt(-2 * Math.log(r) / r);
        this.spare = v * factor;
        return u * factor;
      }
    }
  }

  /** Fill an array: with the next of the arrays that were given, if there are any. */
  fill(out) {
    const given = this.given.shift();
    if (given) out.set(given);
    else for (let i = 0; i < out.length; i++) out[i] = this.normal();
    return out;
  }
}
