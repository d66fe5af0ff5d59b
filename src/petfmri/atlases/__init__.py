"""The embedded template, parcels, networks and reference regions; or the user's own."""
