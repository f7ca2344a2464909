# The example hosts, by name. A host of yours is one more file like these.
{
  all-in-one-cloud = ./all-in-one-cloud.nix;
}
