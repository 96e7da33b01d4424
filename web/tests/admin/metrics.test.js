// What the admin page makes of metrics, on pages as a node under load gave them and on small ones made for a question.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { History, parse, quantileOf } from "../../admin-metrics.js";

const page = (name) => readFileSync(new URL(name, import.meta.url), "utf8");
const values = (text) => [...parse(text).values()].map(({ value }) => value);

/** A history of these pages, a second apart. */
function historyOf(...pages) {
  const history = new History(60_000);
  pages.forEach((text, at) => history.handle_page(at * 1000, parse(text)));
  return history;
}

test("every sample of a node's pages is read", () => {
  for (const name of ["metrics.txt", "shards.txt"]) {
    const lines = page(name).split("\n").filter((line) => line && !line.startsWith("#"));
    const samples = parse(page(name));
    assert.equal(samples.size, lines.length, name);
    for (const line of lines) {
      const at = line.lastIndexOf(" ");
      assert.equal(samples.get(line.slice(0, at)).value, Number(line.slice(at)), line);
    }
  }
});

test("series of shards add up to those of the node", () => {
  const [node, shards] = [historyOf(page("metrics.txt")), historyOf(page("shards.txt"))];
  for (const name of ["uproar_subscribers_max", "uproar_http_connections_max"]) {
    assert.ok(node.sum(name) > 0);
    assert.equal(shards.sum(name), node.sum(name), name);
  }
  assert.ok(node.sum("uproar_reactions_total", { proto: "udp" }) > 0);
  assert.equal(shards.sum("uproar_subscribers_max", { shard: "0" }) * 2, node.sum("uproar_subscribers_max"));
});

test("labels keep what was escaped in them", () => {
  const [sample] = parse(String.raw`m{a="q\"}, b=\\",b="x\ny",c="\t{,"} 1.5e3 1795354055`).values();
  assert.deepEqual(sample, { name: "m", labels: { a: 'q"}, b=\\', b: "x\ny", c: "\\t{," }, value: 1500 });
});

test("values may be infinite or no number, and other lines are no sample", () => {
  assert.deepEqual(values("# TYPE m counter\n\nm +Inf\nn -Inf\no NaN\n!\np\n  q\t7\n"), [Infinity, -Infinity, NaN, 7]);
});

test("a page is read only as far as it is wanted", () => {
  assert.deepEqual([...parse("a 1\nb 2\n", (name) => name === "b").keys()], ["b"]);
});

test("a rate is growth by time", () => {
  const history = historyOf('m{p="a"} 5\nm{p="b"} 100', 'm{p="a"} 15\nm{p="b"} 100', 'm{p="a"} 45\nm{p="b"} 104');
  assert.equal(history.rate("m", {}, 10_000), 22);
  assert.equal(history.rate("m", { p: "a" }, 1_000), 30);
  assert.equal(history.sum("m"), 149);
});

test("nothing is known of one page, of none, and of what is on no page", () => {
  for (const history of [new History(1000), historyOf("m 5")]) assert.equal(history.rate("m", {}, 10_000), undefined);
  assert.equal(historyOf("m 5", "m 6").rate("n", {}, 10_000), undefined);
  assert.equal(historyOf("m 5").sum("n"), undefined);
});

test("a page older than the span says nothing of now", () => {
  const history = historyOf("m 0");
  history.handle_page(30_000, parse("m 900"));
  assert.equal(history.rate("m", {}, 10_000), undefined);
});

test("a counter that begins again has grown by what it has", () => {
  const history = historyOf("m 1000", "m 1010", "m 4", "m 6");
  assert.equal(history.grown(["m"], 10_000), 16);
});

test("all counters of a restarted process begin again, also those that are higher already", () => {
  const history = historyOf("m 10");
  history.handle_page(1000, parse("m 25"), true);
  assert.equal(history.grown(["m"], 10_000), 25);
});

test("a series that is new has not grown", () => {
  assert.equal(historyOf("m 1", "m 1\nn 40").grown(["n"], 10_000), 0);
});

test("old pages are forgotten", () => {
  const history = new History(2_000);
  for (let at = 0; at <= 10; at++) history.handle_page(at * 1000, parse(`m ${at * at}`));
  assert.equal(history.grown(["m"], 60_000), 100 - 64);
});

test("quantiles are those of Prometheus", () => {
  const buckets = [[0.1, 10], [0.2, 30], [0.4, 40], [Infinity, 40]];
  assert.equal(quantileOf(0.25, buckets), 0.1);
  assert.ok(Math.abs(quantileOf(0.5, buckets) - 0.15) < 1e-12);
  assert.ok(Math.abs(quantileOf(0.99, buckets) - 0.392) < 1e-12);
  assert.ok(Math.abs(quantileOf(0.1, buckets) - 0.04) < 1e-12, "the first bucket begins at 0");
});

test("beyond the last finite bound a quantile is that bound, and of nothing it is no number", () => {
  assert.equal(quantileOf(0.99, [[1, 1], [10, 1], [Infinity, 50]]), 10);
  assert.equal(quantileOf(0.5, [[1, 0], [Infinity, 0]]), NaN);
  assert.equal(quantileOf(0.5, []), NaN);
  assert.equal(quantileOf(0.5, [[Infinity, 3]]), NaN);
});

test("a histogram's span is the difference of its buckets, summed over shards", () => {
  const at = (a, b) => `h_bucket{s="0",le="1"} ${a}\nh_bucket{s="0",le="+Inf"} ${a}\nh_bucket{s="1",le="1"} ${b}\nh_bucket{s="1",le="+Inf"} ${b + 2}`;
  const history = historyOf(at(100, 7), at(103, 8));
  assert.deepEqual(history.buckets("h", {}, 10_000), [[1, 4], [Infinity, 4]]);
  assert.deepEqual(history.buckets("h", { s: "1" }, 10_000), [[1, 1], [Infinity, 1]]);
});
