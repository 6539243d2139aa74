import assert from "node:assert/strict";
import test from "node:test";

test("a sum of cents is exact", () => {
  assert.equal([10, 20, 30].reduce((a, b) => a + b), 60);
});

test("a sort of numbers needs a comparison", () => {
  assert.deepEqual([10, 9, 1].sort((a, b) => a - b), [1, 9, 10]);
});
