# A guest whose init ends before it was ever ready.
exit 3
