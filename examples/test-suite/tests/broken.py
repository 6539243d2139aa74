import unittest


class Broken(unittest.TestCase):
    def test_fails_on_purpose(self):
        self.assertEqual(1 + 1, 3)


if __name__ == "__main__":
    unittest.main()
