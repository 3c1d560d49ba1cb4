"""Label maps and part names, to and from the formats of annotation tools. Knows arrays only."""
