// Areas around street centres: each point belongs to the nearest centre, at most `reach` away. Pure geometry.
// They stand in for boundaries that are not public, and are nothing more than that.

const CIRCLE = 48; // corners of the outer limit

/** One kilometre-based plane for a small area: degrees -> [x east, y south] in km. */
export function plane(points) {
  const lon0 = Math.min(...points.map((p) => p.lon));
  const lat0 = Math.max(...points.map((p) => p.lat));
  const east_km = 111.32 * Math.cos((lat0 * Math.PI) / 180);
  return (lon, lat) => [(lon - lon0) * east_km, (lat0 - lat) * 110.57];
}

/**
 * Cells of `centres` ([[x, y], …] km): per centre a list of corners {x, y, by}, where `by` is the index of the
 * neighbour across the edge that starts at the corner, or -1 on the outer limit.
 */
export function cells(centres, reach_km) {
  return centres.map(([x, y], own) => {
    let corners = Array.from({ length: CIRCLE }, (_, i) => {
      const angle = (2 * Math.PI * i) / CIRCLE;
      return { x: x + reach_km * Math.cos(angle), y: y + reach_km * Math.sin(angle), by: -1 };
    });
    centres.forEach(([nx, ny], other) => {
      const apart = Math.hypot(nx - x, ny - y);
      if (other !== own && apart > 0 && apart < 2 * reach_km) corners = cut(corners, x, y, nx, ny, other);
    });
    return corners;
  });
}

/** Keeps the part of a convex polygon that is nearer to (x, y) than to (nx, ny). */
function cut(corners, x, y, nx, ny, neighbour) {
  const side = (p) => (p.x - (x + nx) / 2) * (nx - x) + (p.y - (y + ny) / 2) * (ny - y); // > 0: the neighbour's
  const kept = [];
  corners.forEach((from, i) => {
    const to = corners[(i + 1) % corners.length];
    const a = side(from);
    const b = side(to);
    if (a <= 0) kept.push(from);
    if (a <= 0 !== b <= 0) {
      const t = a / (a - b);
      const meet = { x: from.x + t * (to.x - from.x), y: from.y + t * (to.y - from.y) };
      kept.push({ ...meet, by: a <= 0 ? neighbour : from.by });
    }
  });
  return kept;
}

/**
 * Draws far-off parts nearer: every empty stretch of more than `gap` along x shrinks to `left`.
 * Returns {move: x -> x, breaks: [x, …] where the map is broken, shifts: [0, …] how far each part came nearer}.
 */
export function closeGaps(xs, gap, left) {
  const sorted = [...xs].sort((a, b) => a - b);
  const gaps = [];
  sorted.forEach((x, i) => {
    if (i && x - sorted[i - 1] > gap) gaps.push({ from: x, by: x - sorted[i - 1] - left });
  });
  const move = (x) => x - gaps.filter((g) => x >= g.from).reduce((sum, g) => sum + g.by, 0);
  const shifts = gaps.reduce((so_far, g) => [...so_far, so_far.at(-1) + g.by], [0]);
  return { move, breaks: gaps.map((g) => move(g.from) - left / 2), shifts };
}
