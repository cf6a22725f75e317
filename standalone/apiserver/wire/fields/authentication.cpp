// Field numbers, authentication.k8s.io. What a line means is told in wire/fields.cpp.
#include "standalone/apiserver/wire/fields.hpp"

namespace nodevirt::apiserver::wire {

constinit const std::string_view kAuthenticationFields = R"(#authn.BoundObjectReference
1 kind s
2 apiVersion s
3 name s
4 uid s
#authn.SelfSubjectReview
1 metadata =meta.ObjectMeta
2 status =authn.SelfSubjectReviewStatus
#authn.SelfSubjectReviewStatus
1 userInfo =authn.UserInfo
#authn.TokenRequest
1 metadata =meta.ObjectMeta
2 spec =authn.TokenRequestSpec
3 status =authn.TokenRequestStatus
#authn.TokenRequestSpec
1 audiences +s
3 boundObjectRef *=authn.BoundObjectReference
4 expirationSeconds *i
5 attestations %+s
#authn.TokenRequestStatus
1 token s
2 expirationTimestamp @Time
#authn.TokenReview
1 metadata =meta.ObjectMeta
2 spec =authn.TokenReviewSpec
3 status =authn.TokenReviewStatus
#authn.TokenReviewSpec
1 token s
2 audiences +s
#authn.TokenReviewStatus
1 authenticated b
2 user =authn.UserInfo
3 error s
4 audiences +s
#authn.UserInfo
1 username s
2 uid s
3 groups +s
4 extra %@Items
)";

}  // namespace nodevirt::apiserver::wire
