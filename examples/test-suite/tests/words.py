import unittest


class Words(unittest.TestCase):
    def test_title(self):
        self.assertEqual("ada lovelace".title(), "Ada Lovelace")

    def test_split_at_white_space(self):
        self.assertEqual(" a  b\tc ".split(), ["a", "b", "c"])


if __name__ == "__main__":
    unittest.main()
