// How uPlot writes the times of an axis: the day under the first tick of each.

const DAY = "\n{MMM} {D}";
export const TIMES = [
  [86_400 * 28, "{MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [86_400, "{MMM} {D}", "\n{YYYY}", null, null, null, null, null, 1],
  [3600, "{HH}:{mm}", DAY, DAY, DAY, null, null, null, 1],
  [60, "{HH}:{mm}", DAY, DAY, DAY, null, null, null, 1],
  [1, "{HH}:{mm}:{ss}", DAY, DAY, DAY, null, null, null, 1],
];
