"""What the service owes the people whose words it keeps: to hand them out, and to erase them."""
