"""`holdfast export` and `holdfast verify`, on what a real server has written and somebody has spoilt since."""
